// Makes the archives of this folder, with Go's standard library only:
//
//	go run make.go
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"strings"
	"time"
)

func main() {
	long := strings.Repeat("long-directory-name/", 12) + "file"
	base := time.Unix(1_500_000_000, 0)
	for _, format := range []struct {
		name   string
		format tar.Format
	}{{"ustar", tar.FormatUSTAR}, {"pax", tar.FormatPAX}, {"gnu", tar.FormatGNU}} {
		var out bytes.Buffer
		gz := gzip.NewWriter(&out)
		tw := tar.NewWriter(gz)
		add := func(h tar.Header, content string) {
			h.Format = format.format
			h.Size = int64(len(content))
			if h.ModTime.IsZero() {
				h.ModTime = base
			}
			if err := tw.WriteHeader(&h); err != nil {
				panic(err)
			}
			if _, err := tw.Write([]byte(content)); err != nil {
				panic(err)
			}
		}
		add(tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}, "")
		add(tar.Header{Name: "d/empty", Typeflag: tar.TypeReg, Mode: 0o644}, "")
		add(tar.Header{Name: "d/run.sh", Typeflag: tar.TypeReg, Mode: 0o755}, "#!/bin/sh\n")
		add(tar.Header{Name: "d/block", Typeflag: tar.TypeReg, Mode: 0o600}, strings.Repeat("b", 512))
		add(tar.Header{Name: "d/large", Typeflag: tar.TypeReg, Mode: 0o644}, strings.Repeat("0123456789abcdef\n", 5000))
		add(tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "d/run.sh", Mode: 0o777}, "")
		add(tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "d/block", Mode: 0o600}, "")
		switch format.format {
		case tar.FormatUSTAR:
			add(tar.Header{Name: strings.Repeat("p/", 60) + "file", Typeflag: tar.TypeReg, Mode: 0o644}, "prefix")
		case tar.FormatPAX:
			add(tar.Header{Name: long, Typeflag: tar.TypeReg, Mode: 0o644, Uid: 1 << 30}, "far away")
			add(tar.Header{Name: "dé/näme", Typeflag: tar.TypeReg, Mode: 0o644, ModTime: base.Add(500 * time.Millisecond)}, "ü")
			add(tar.Header{Name: "longlink", Typeflag: tar.TypeSymlink, Linkname: long, Mode: 0o777}, "")
		case tar.FormatGNU:
			add(tar.Header{Name: long, Typeflag: tar.TypeReg, Mode: 0o644, Uid: 1 << 30}, "far away")
			add(tar.Header{Name: "longlink", Typeflag: tar.TypeSymlink, Linkname: long, Mode: 0o777}, "")
		}
		if err := tw.Close(); err != nil {
			panic(err)
		}
		if err := gz.Close(); err != nil {
			panic(err)
		}
		if err := os.WriteFile("go-"+format.name+".tar.gz", out.Bytes(), 0o644); err != nil {
			panic(err)
		}
	}
}

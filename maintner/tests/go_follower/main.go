// Follows a log as the original's followers do: the same requests, the same rules for what is
// sealed, the same cache, the same idea of a split. Standard library only.
//
// usage: gofollower URL CACHE BYTES
//
// Prints "SIZE SHA224-OF-THE-WHOLE-LOG" for each batch; ends when the log has BYTES bytes.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

type segment struct {
	Number int    `json:"number"`
	Size   int64  `json:"size"`
	SHA224 string `json:"sha224"`
	URL    string `json:"url"`
}

const sealedPrefix = "https://storage.googleapis.com/"

var (
	base  *url.URL
	cache string
)

func main() {
	var err error
	if base, err = url.Parse(os.Args[1]); err != nil {
		fail(err)
	}
	cache = os.Args[2]
	want, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		fail(err)
	}
	var last []segment
	for {
		news, err := index(sum(last))
		if err != nil {
			fail(err)
		}
		for _, seg := range news {
			if err := fetch(seg); err != nil {
				fail(err)
			}
		}
		common, err := commonPrefix(last, news)
		if err != nil {
			fail(err)
		}
		if common != sum(last) {
			fail(errors.New("history split"))
		}
		last = news
		all := sha256.New224()
		for _, seg := range last {
			data, err := os.ReadFile(path(seg))
			if err != nil {
				fail(err)
			}
			if err := records(data); err != nil {
				fail(err)
			}
			all.Write(data)
		}
		fmt.Printf("%d %x\n", sum(last), all.Sum(nil))
		if sum(last) >= want {
			return
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gofollower:", err)
	os.Exit(1)
}

func sum(segs []segment) (size int64) {
	for _, seg := range segs {
		size += seg.Size
	}
	return size
}

func index(notSize int64) ([]segment, error) {
	for {
		res, err := http.Get(fmt.Sprintf("%s?waitsizenot=%d", base, notSize))
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		switch res.StatusCode {
		case http.StatusNotModified:
			continue
		case http.StatusOK:
		default:
			return nil, errors.New(res.Status)
		}
		var segs []segment
		err = json.Unmarshal(body, &segs)
		if got := res.Header.Get("X-Sum-Segment-Size"); err == nil && got != fmt.Sprint(sum(segs)) {
			err = fmt.Errorf("X-Sum-Segment-Size is %q", got)
		}
		return segs, err
	}
}

func path(seg segment) string {
	name := fmt.Sprintf("%04d.growing.mutlog", seg.Number)
	if strings.HasPrefix(seg.URL, sealedPrefix) {
		name = fmt.Sprintf("%04d.%s.mutlog", seg.Number, seg.SHA224)
	}
	return filepath.Join(cache, name)
}

func digest(data []byte) string {
	return fmt.Sprintf("%x", sha256.Sum224(data))
}

func fetch(seg segment) error {
	have, err := os.ReadFile(path(seg))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if int64(len(have)) == seg.Size && digest(have) == seg.SHA224 {
		return nil
	}
	where, err := base.Parse(seg.URL)
	if err != nil {
		return err
	}
	req, err := http.NewRequest("GET", where.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", len(have), seg.Size-1))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("%s: %s", where, res.Status)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if int64(len(data)) != seg.Size {
		data = append(have, data...)
	}
	if digest(data) != seg.SHA224 {
		return errors.New("corrupt download")
	}
	temp := filepath.Join(cache, "tempseg")
	if err := os.WriteFile(temp, data, 0600); err != nil {
		return err
	}
	return os.Rename(temp, path(seg))
}

func commonPrefix(old, now []segment) (int64, error) {
	var common int64
	for i := 0; i < len(old) && i < len(now); i++ {
		a, b := old[i], now[i]
		if a.SHA224 == b.SHA224 {
			common += a.Size
			continue
		}
		if a.Size < b.Size {
			data, err := os.ReadFile(path(b))
			if err != nil {
				return 0, err
			}
			if digest(data[:a.Size]) == a.SHA224 {
				common += a.Size
			}
		}
		break
	}
	return common, nil
}

// records reads the framing as the original does.
func records(data []byte) error {
	at := 0
	for at < len(data) {
		end := strings.IndexByte(string(data[at:min(at+40, len(data))]), '=')
		if end < 0 {
			return fmt.Errorf("no header at %d", at)
		}
		var off, size int64
		if _, err := fmt.Sscanf(string(data[at:at+end+1]), "REC@%x+%x=", &off, &size); err != nil {
			return fmt.Errorf("bad header at %d: %v", at, err)
		}
		if off != int64(at) {
			return fmt.Errorf("header at %d says %d", at, off)
		}
		at += end + 1 + int(size)
	}
	if at != len(data) {
		return errors.New("truncated record")
	}
	return nil
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

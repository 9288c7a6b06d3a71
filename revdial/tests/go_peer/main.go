// Command gopeer is a peer of revdial written with Go's standard library, as the programs of the
// Go project are: encoding/json for control lines, net/http for requests and answers, and a
// bufio.Reader that is thrown away once the answer to an upgrade is read. The tests of the Rust
// crate run it at the other end.
//
//	gopeer listen2 ADDR   register at ADDR, version 2; serve every stream that is dialled
//	gopeer listen1 ADDR   the same, version 1
//	gopeer dial2          accept registrations, version 2; dial, check, report
//	gopeer dial1          the same, version 1
//
// The dialling programs print "listening ADDR" first. All end with a line "done ..." or with an
// error and exit status 1. TLS is used, without verification, when GOPEER_TLS is a folder with
// cert.pem and key.pem.
package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

func main() {
	err := errors.New("usage: gopeer listen1|listen2 ADDR, gopeer dial1|dial2")
	switch {
	case len(os.Args) == 3 && os.Args[1] == "listen2":
		err = listen2(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "listen1":
		err = listen1(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "dial2":
		err = serve(dial2)
	case len(os.Args) == 2 && os.Args[1] == "dial1":
		err = serve(dial1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gopeer:", err)
		os.Exit(1)
	}
}

// connect opens a connection to the server.
func connect(addr string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil || os.Getenv("GOPEER_TLS") == "" {
		return c, err
	}
	t := tls.Client(c, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
	return t, t.Handshake()
}

// upgrade sends a request and waits for the 101. With early bytes the reader's buffer would hold
// them: it is thrown away, as the original does.
func upgrade(c net.Conn, path string, header http.Header) error {
	req, err := http.NewRequest("GET", path, nil)
	if err != nil {
		return err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if err := req.Write(c); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		return fmt.Errorf("error reading response: %v", err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return fmt.Errorf("want HTTP status 101; got %v:\n\t%s", res.Status, body)
	}
	return nil
}

// serve runs a server whose registrations end in turn.
func serve(turn func(net.Conn, *bufio.ReadWriter, *http.ServeMux) error) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening", l.Addr())
	mux := http.NewServeMux()
	done := make(chan error, 1)
	mux.HandleFunc("/reverse", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err == nil {
			err = switchProtocols(conn)
		}
		if err == nil {
			err = turn(conn, rw, mux)
		}
		done <- err
	})
	server := &http.Server{Handler: mux, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	go func() {
		if dir := os.Getenv("GOPEER_TLS"); dir != "" {
			done <- server.ServeTLS(l, dir+"/cert.pem", dir+"/key.pem")
		} else {
			done <- server.Serve(l)
		}
	}()
	return <-done
}

// switchProtocols writes what http.Response.Write makes of a response with nothing but a status
// and a textual protocol: "HTTP/0.0 101 Switching Protocols" and no headers.
func switchProtocols(c net.Conn) error {
	return (&http.Response{StatusCode: http.StatusSwitchingProtocols, Proto: "HTTP/1.1"}).Write(c)
}

// answer reads everything from a stream and answers with how much it was and its hash. A version
// without half-close cannot tell its end: the first 8 bytes say how much comes.
func answer(s io.ReadWriteCloser) error {
	defer s.Close()
	var n uint64
	var head [8]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return err
	}
	for _, b := range head {
		n = n<<8 | uint64(b)
	}
	h := fnv.New64a()
	if _, err := io.CopyN(h, s, int64(n)); err != nil {
		return err
	}
	_, err := s.Write(h.Sum(nil))
	return err
}

// ask sends a stream n bytes and checks the answer.
func ask(s io.ReadWriteCloser, n int) error {
	defer s.Close()
	head := make([]byte, 8, 8+n)
	for i := range head {
		head[i] = byte(uint64(n) >> (8 * (7 - i)))
	}
	for i := 0; i < n; i++ {
		head = append(head, byte(i*7+i>>8))
	}
	if _, err := s.Write(head); err != nil {
		return err
	}
	h := fnv.New64a()
	h.Write(head[8:])
	got := make([]byte, 8)
	if _, err := io.ReadFull(s, got); err != nil {
		return fmt.Errorf("reading the answer to %d bytes: %v", n, err)
	}
	if want := h.Sum(nil); string(got) != string(want) {
		return fmt.Errorf("answer to %d bytes is %x, not %x", n, got, want)
	}
	return nil
}

var sizes = []int{0, 1, 100, 4089, 65535, 65536, 1 << 20}

// askAll uses one stream after the other, then twenty at a time.
func askAll(dial func() (io.ReadWriteCloser, error)) (int, error) {
	count := 0
	for _, n := range sizes {
		s, err := dial()
		if err != nil {
			return count, err
		}
		if err := ask(s, n); err != nil {
			return count, err
		}
		count++
	}
	var all sync.WaitGroup
	failed := make(chan error, 20)
	for i := 0; i < 20; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			s, err := dial()
			if err == nil {
				err = ask(s, 100_000)
			}
			if err != nil {
				failed <- err
			}
		}()
	}
	all.Wait()
	select {
	case err := <-failed:
		return count, err
	default:
		return count + 20, nil
	}
}

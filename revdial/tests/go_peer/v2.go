package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// line is a line of the control connection.
type line struct {
	Command  string `json:"command,omitempty"`
	ConnPath string `json:"connPath,omitempty"`
	Err      string `json:"err,omitempty"`
}

// readLine takes a line of at most 4096 bytes that is one JSON value.
func readLine(r *bufio.Reader) (line, error) {
	var l line
	b, err := r.ReadSlice('\n')
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal(b, &l)
}

func writeLine(w io.Writer, l line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// listen2 registers and serves streams until the server ends the control connection.
func listen2(addr string) error {
	c, err := connect(addr)
	if err != nil {
		return err
	}
	if err := upgrade(c, "/reverse", http.Header{"X-Revdial-Version": {"2"}}); err != nil {
		return err
	}
	streams, served := make(chan net.Conn, 8), make(chan error)
	reports := make(chan line, 8)
	go func() {
		for l := range reports {
			if writeLine(c, l) != nil {
				return
			}
		}
	}()
	r := bufio.NewReader(c)
	go func() {
		for s := range streams {
			go func() { served <- answer(s) }()
		}
	}()
	// How many pickups there were, each of which ends in served.
	ended := make(chan int, 1)
	var end error
	go func() {
		for ordered := 0; ; {
			l, err := readLine(r)
			if err != nil {
				end = err
				ended <- ordered
				return
			}
			if l.Command != "conn-ready" {
				continue
			}
			ordered++
			go func() {
				s, err := connect(addr)
				if err != nil {
					reports <- line{Command: "pickup-failed", ConnPath: l.ConnPath, Err: err.Error()}
					served <- io.EOF
					return
				}
				if err := upgrade(s, l.ConnPath, nil); err != nil {
					s.Close()
					reports <- line{Command: "pickup-failed", Err: "switch failed: " + err.Error()}
					served <- io.EOF
					return
				}
				streams <- s
			}()
		}
	}()
	good, over, ordered := 0, 0, -1
	for over != ordered {
		select {
		case err := <-served:
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if err == nil {
				good++
			}
			over++
		case ordered = <-ended:
			if !errors.Is(end, io.EOF) {
				return end
			}
		}
	}
	fmt.Println("done", good)
	return nil
}

// dial2 dials through a control connection.
func dial2(c net.Conn, rw *bufio.ReadWriter, mux *http.ServeMux) error {
	defer c.Close()
	var id [16]byte
	rand.Read(id[:])
	path := fmt.Sprintf("/revdial?revdial.dialer=%x", id)
	incoming, failures := make(chan net.Conn), make(chan string, 100)
	mux.HandleFunc("/revdial", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("revdial.dialer") != fmt.Sprintf("%x", id) {
			http.Error(w, "unknown dialer", http.StatusBadRequest)
			return
		}
		s, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		switchProtocols(s)
		incoming <- s
	})
	lost := make(chan error, 1)
	go func() {
		for {
			// What the peer sent right behind its request would be in rw: it must send nothing.
			l, err := readLine(rw.Reader)
			if err != nil {
				lost <- err
				return
			}
			if l.Command == "pickup-failed" {
				failures <- l.Err
			}
		}
	}()
	orders := make(chan struct{})
	go func() {
		alive := line{Command: "keep-alive"}
		writeLine(c, alive)
		for {
			select {
			case <-orders:
				writeLine(c, line{Command: "conn-ready", ConnPath: path})
			case <-time.After(30 * time.Second):
			}
			c.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if writeLine(c, alive) != nil {
				return
			}
		}
	}()
	count, err := askAll(func() (io.ReadWriteCloser, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		orders <- struct{}{}
		select {
		case s := <-incoming:
			return s, nil
		case why := <-failures:
			return nil, errors.New("revdial listener failed to pick up connection: " + why)
		case err := <-lost:
			return nil, fmt.Errorf("control connection: %v", err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	// A path that the server refuses comes back as a failure, in a line that fits.
	writeLine(c, line{Command: "conn-ready", ConnPath: "/nowhere?x=" + strings.Repeat("y", 1500)})
	select {
	case why := <-failures:
		if !strings.Contains(why, "404") {
			return errors.New("strange failure: " + why)
		}
	case err := <-lost:
		return fmt.Errorf("control connection: %v", err)
	case <-time.After(20 * time.Second):
		return errors.New("no failure was reported")
	}
	fmt.Println("done", count)
	return nil
}

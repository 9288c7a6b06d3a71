package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// session is one end of a version 1 connection: a lock around all of the output, a buffer
// without bound per stream, each frame flushed by itself, as in the original.
type session struct {
	wmu  sync.Mutex
	w    *bufio.Writer
	mu   sync.Mutex
	live map[uint32]*stream
	next uint32
	// For listeners.
	accepted chan *stream
}

type stream struct {
	id  uint32
	s   *session
	mu  sync.Mutex
	any *sync.Cond
	buf []byte
	eof bool
}

func newSession(w io.Writer, accepting bool) *session {
	s := &session{w: bufio.NewWriter(w), live: map[uint32]*stream{}, next: 1}
	if accepting {
		s.accepted = make(chan *stream, 8)
	}
	return s
}

func (s *session) frame(kind byte, id uint32, payload []byte) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	var head [7]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], id)
	binary.BigEndian.PutUint16(head[5:], uint16(len(payload)))
	s.w.Write(head[:])
	s.w.Write(payload)
	return s.w.Flush()
}

func (s *session) open(id uint32) *stream {
	t := &stream{id: id, s: s}
	t.any = sync.NewCond(&t.mu)
	s.mu.Lock()
	s.live[id] = t
	s.mu.Unlock()
	return t
}

func (s *session) dial() (io.ReadWriteCloser, error) {
	s.mu.Lock()
	id := s.next
	s.next++
	s.mu.Unlock()
	t := s.open(id)
	return t, s.frame('N', id, nil)
}

// run reads frames until the end of the input.
func (s *session) run(r *bufio.Reader) error {
	defer func() {
		s.mu.Lock()
		for _, t := range s.live {
			t.end()
		}
		s.mu.Unlock()
		if s.accepted != nil {
			close(s.accepted)
		}
	}()
	for {
		var head [7]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		id := binary.BigEndian.Uint32(head[1:])
		payload := make([]byte, binary.BigEndian.Uint16(head[5:]))
		if _, err := io.ReadFull(r, payload); err != nil {
			return err
		}
		s.mu.Lock()
		t := s.live[id]
		s.mu.Unlock()
		switch head[0] {
		case 'N':
			if s.accepted == nil {
				return errors.New("invalid frame type received for role")
			}
			if t != nil {
				return errors.New("peer newConn with already-open connID")
			}
			s.accepted <- s.open(id)
		case 'W':
			if t != nil {
				t.mu.Lock()
				t.buf = append(t.buf, payload...)
				t.any.Broadcast()
				t.mu.Unlock()
			}
		case 'C':
			if t != nil {
				t.end()
				if s.accepted != nil {
					s.forget(id)
				}
			}
		}
	}
}

func (s *session) forget(id uint32) {
	s.mu.Lock()
	delete(s.live, id)
	s.mu.Unlock()
}

func (t *stream) end() {
	t.mu.Lock()
	t.eof = true
	t.any.Broadcast()
	t.mu.Unlock()
}

func (t *stream) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.buf) == 0 && !t.eof && len(p) > 0 {
		t.any.Wait()
	}
	if len(t.buf) == 0 && t.eof {
		return 0, io.EOF
	}
	n := copy(p, t.buf)
	t.buf = t.buf[:copy(t.buf, t.buf[n:])]
	return n, nil
}

func (t *stream) Write(p []byte) (int, error) {
	done := 0
	for len(p) > 0 {
		n := min(len(p), 0xffff)
		if err := t.s.frame('W', t.id, p[:n]); err != nil {
			return done, err
		}
		done, p = done+n, p[n:]
	}
	return done, nil
}

func (t *stream) Close() error {
	if t.s.accepted == nil {
		t.s.forget(t.id)
	}
	return t.s.frame('C', t.id, nil)
}

// listen1 registers and serves streams until the server ends the connection.
func listen1(addr string) error {
	c, err := connect(addr)
	if err != nil {
		return err
	}
	if err := upgrade(c, "/reverse", http.Header{}); err != nil {
		return err
	}
	s := newSession(c, true)
	ended := make(chan error, 1)
	go func() { ended <- s.run(bufio.NewReader(c)) }()
	var all sync.WaitGroup
	var mu sync.Mutex
	count := 0
	for t := range s.accepted {
		all.Add(1)
		go func() {
			defer all.Done()
			if answer(t) == nil {
				mu.Lock()
				count++
				mu.Unlock()
			}
		}()
	}
	all.Wait()
	if err := <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	fmt.Println("done", count)
	return nil
}

// dial1 dials through a connection. The session keeps what the HTTP server had
// read ahead.
func dial1(c net.Conn, rw *bufio.ReadWriter, _ *http.ServeMux) error {
	defer c.Close()
	s := newSession(c, false)
	ended := make(chan error, 1)
	go func() { ended <- s.run(rw.Reader) }()
	count, err := askAll(s.dial)
	if err != nil {
		select {
		case why := <-ended:
			return fmt.Errorf("%v; session: %v", err, why)
		default:
			return err
		}
	}
	fmt.Println("done", count)
	return nil
}

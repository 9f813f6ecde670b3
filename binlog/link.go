package binlog

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// link makes the network connections of one use of the server, and can end all
// of them at once. After that it makes no more.
type link struct {
	timeout time.Duration // of every read and write

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
}

var errLinkClosed = errors.New("connection was closed by this process")

func newLink(timeout time.Duration) *link {
	return &link{timeout: timeout, open: make(map[net.Conn]struct{})}
}

// dial is go-mysql's client.Dialer.
func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.isClosed() {
		return nil, errLinkClosed
	}
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return nil, errLinkClosed
	}
	l.open[c] = struct{}{}
	return &linkConn{Conn: c, link: l}, nil
}

func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// close ends every connection, and every read and write that waits on one.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.open {
		c.Close()
	}
	clear(l.open)
}

func (l *link) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// linkConn bounds each read and write by itself, and ignores the deadlines that
// go-mysql sets, which it means for several of them.
type linkConn struct {
	net.Conn
	link *link
}

func (c *linkConn) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.link.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *linkConn) Write(b []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.link.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *linkConn) Close() error {
	c.link.forget(c.Conn)
	return c.Conn.Close()
}

func (c *linkConn) SetDeadline(time.Time) error      { return nil }
func (c *linkConn) SetReadDeadline(time.Time) error  { return nil }
func (c *linkConn) SetWriteDeadline(time.Time) error { return nil }

package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// waitReady waits until the server greets, and gives the version of the
// greeting. A TCP connection alone says little: Docker's proxy accepts one
// before there is a server behind it.
func waitReady(ctx context.Context, greeting func(context.Context, string) (string, error), addr string, ended <-chan struct{}) (string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		v, err := greeting(ctx, addr)
		if err == nil {
			return v, nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return "", errors.New("the server ended while it was starting")
		case <-ctx.Done():
			return "", fmt.Errorf("not ready: %w (last: %w)", context.Cause(ctx), err)
		}
	}
}

// greeting is how a server of this flavour is asked whether it is ready.
func (f Flavor) greeting() func(context.Context, string) (string, error) {
	talk := func(rw io.ReadWriter) (string, error) { return readGreeting(rw) }
	if f == PostgreSQL {
		talk = postgresGreeting
	}
	return func(ctx context.Context, addr string) (string, error) {
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return "", err
		}
		return talk(conn)
	}
}

// readGreeting reads the first packet of the MySQL protocol: length (3 bytes),
// sequence number, protocol version 10 and the NUL-terminated server version.
func readGreeting(r io.Reader) (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", fmt.Errorf("read greeting: %w", err)
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if n < 2 || n > 4096 {
		return "", fmt.Errorf("read greeting: %d bytes: not a MySQL server", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", fmt.Errorf("read greeting: %w", err)
	}
	if body[0] == 0xff {
		return "", fmt.Errorf("the server refuses: %s", body[min(3, n):])
	}
	v, _, ok := strings.Cut(string(body[1:]), "\x00")
	if body[0] != 10 || !ok {
		return "", fmt.Errorf("read greeting: protocol %d: not a MySQL server", body[0])
	}
	return strings.TrimPrefix(v, "5.5.5-"), nil // what old MariaDB puts in front for old replicas
}

// Ports below every common range for outgoing connections, above most services.
const firstPort, lastPort = 15000, 32000

// freePort picks a port that nobody listens on now. Two processes may pick the
// same one; who loses finds it taken and tries again.
func freePort() (int, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if last = checkPort(port); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port: %w", last)
}

// checkPort fails when something listens on the port: without it a stranger's
// greeting would look like that of our server.
func checkPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("port %d is taken; choose another, or 0 for a free one: %w", port, err)
	}
	return l.Close()
}

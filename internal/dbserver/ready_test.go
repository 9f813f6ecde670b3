package dbserver

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

func TestReadGreeting(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want string // "" is an error
	}{
		"MySQL":          {string(packet("\x0a9.7.4-2\x00rest")), "9.7.4-2"},
		"old MariaDB":    {string(packet("\x0a5.5.5-10.5.1-MariaDB\x00rest")), "10.5.1-MariaDB"},
		"refusal":        {string(packet("\xff\x10\x04Too many connections")), ""},
		"short refusal":  {string(packet("\xff\x10")), ""},
		"nothing":        {"", ""},
		"half":           {string(packet("\x0a9.7.4-2\x00rest"))[:8], ""},
		"HTTP":           {"HTTP/1.1 200 OK\r\n\r\n", ""},
		"no NUL":         {string(packet("\x0a9.7.4")), ""},
		"other protocol": {string(packet("\x099.7.4\x00")), ""},
	} {
		got, err := readGreeting(strings.NewReader(c.in))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func FuzzReadGreeting(f *testing.F) {
	f.Add(packet("\x0a9.7.4-2\x00rest"))
	f.Add(packet("\xff\x10\x04no"))
	f.Fuzz(func(_ *testing.T, in []byte) { _, _ = readGreeting(bytes.NewReader(in)) })
}

// A proxy accepts and hangs up before there is a server behind it.
func TestWaitReadyBehindProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if i >= 2 {
				_, _ = conn.Write(packet("\x0a9.7.4\x00rest"))
			}
			_ = conn.Close()
		}
	}()
	v, err := waitReady(t.Context(), MySQL.greeting(), l.Addr().String(), nil)
	if v != "9.7.4" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
}

func TestWaitReadyGivesUp(t *testing.T) {
	port, err := freePort()
	must(t, err)
	s := Server{port: port}
	ended := make(chan struct{})
	close(ended)
	if _, err := waitReady(t.Context(), MySQL.greeting(), s.Addr(), ended); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("server that ended: %v", err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := waitReady(ctx, MySQL.greeting(), s.Addr(), nil); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCheckPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	if checkPort(port) == nil {
		t.Error("a taken port is free")
	}
	must(t, l.Close())
	must(t, checkPort(port))
}

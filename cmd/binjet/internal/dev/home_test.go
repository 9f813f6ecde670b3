package dev

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/binjet/binjet/internal/dbserver"
)

func open(t *testing.T, dir string, fresh bool) *Home {
	t.Helper()
	h, err := Open(dir, fresh)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHome: what is ours is kept, thrown away when asked, and used by one at a time.
func TestHome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	h := open(t, dir, false)
	if _, err := Open(dir, true); err == nil || !strings.Contains(err.Error(), "another binjet dev") {
		t.Errorf("a second one: %v", err)
	}
	h.State = State{Flavor: dbserver.MariaDB, DatabasePort: 1, NATSPort: 2}
	if err := h.Save(); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, natsDir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := h.Configure("x: 1\n"); err != nil || filepath.Dir(path) != h.Dir {
		t.Errorf("%s, %v", path, err)
	}
	_ = h.Close()

	again := open(t, dir, false)
	if again.State != h.State {
		t.Errorf("the state was %+v and is %+v", h.State, again.State)
	}
	if _, err := os.Stat(data); err != nil {
		t.Error(err)
	}
	_ = again.Close()

	fresh := open(t, dir, true)
	defer fresh.Close()
	if _, err := os.Stat(data); err == nil || fresh.State != (State{}) {
		t.Errorf("--fresh keeps data, or the state %+v", fresh.State)
	}
	if text, err := os.ReadFile(filepath.Join(dir, ignoreFile)); err != nil || string(text) != "*\n" {
		t.Errorf("git would see the data: %q, %v", text, err)
	}
}

// TestHomeOfOthers: --fresh can't throw away what is not ours.
func TestHomeOfOthers(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "mysql")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, true); err == nil || !strings.Contains(err.Error(), "not a directory of binjet dev: it holds mysql") {
		t.Errorf("it is taken: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

// TestBrokerPort: a port that was asked for, or that clients know, is not silently another one.
func TestBrokerPort(t *testing.T) {
	h := open(t, t.TempDir(), false)
	defer h.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if _, err := StartBroker(h, port, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--nats-port") {
		t.Errorf("asked for: %v", err)
	}
	h.State.NATSPort = port
	if _, err := StartBroker(h, 0, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--nats-port") {
		t.Errorf("remembered: %v", err)
	}
}

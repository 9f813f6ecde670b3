package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/testcert"
)

// TestCertificateIsReadAgain: a renewed certificate is shown to the next client, and a
// broken one does not take the old one away.
func TestCertificateIsReadAgain(t *testing.T) {
	ca, dir := testcert.NewCA(t), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "now.pem"), filepath.Join(dir, "now.key")
	pairs, clock := [2]tls.Certificate{}, time.Now()
	for i := range pairs {
		pairs[i] = ca.Issue(t, clock.Add(-time.Hour), clock.Add(time.Hour))
		sub := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		ca.Write(t, sub, pairs[i])
	}
	install := func(pair int, from, to string) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(pair), from))
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if clock = clock.Add(time.Second); err == nil { // whatever times the file system can tell apart
			err = os.Chtimes(to, clock, clock)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install(0, "cert.pem", certFile)
	install(0, "key.pem", keyFile)
	var log strings.Builder
	cert, err := LoadCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	server, err := Listen("127.0.0.1:0", cert, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if !strings.HasPrefix(server.URL(), "https://127.0.0.1:") {
		t.Error(server.URL())
	}
	shown := func(want int) {
		t.Helper()
		c, err := tls.Dial("tcp", server.Addr(), &tls.Config{RootCAs: ca.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if !bytes.Equal(c.ConnectionState().PeerCertificates[0].Raw, pairs[want].Certificate[0]) {
			t.Errorf("the certificate is not number %d", want)
		}
	}
	shown(0)
	install(1, "cert.pem", certFile) // its key is not there yet
	shown(0)
	if !strings.Contains(log.String(), "http.tls.cert") {
		t.Errorf("the log says nothing of it: %s", log.String())
	}
	install(1, "key.pem", keyFile)
	shown(1)
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	shown(1)
	if _, err := LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a pair without a key is one")
	}
}

// TestHeadersAreLimited: nobody fills the memory with headers. The library allows some
// more than is asked of it.
func TestHeadersAreLimited(t *testing.T) {
	server, err := Listen("127.0.0.1:0", nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	for size, want := range map[int]int{8 << 10: http.StatusOK, 32 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("x", size))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%d bytes of headers: %s", size, res.Status)
		}
	}
}

// TestCloseEndsWhatLasts: a request that would last is told by its context.
func TestCloseEndsWhatLasts(t *testing.T) {
	ended := make(chan error, 1)
	begun := make(chan struct{})
	server, err := Listen("127.0.0.1:0", nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		ended <- r.Context().Err()
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-begun
	server.Close()
	select {
	case err := <-ended:
		if err != context.Canceled {
			t.Error(err)
		}
	default:
		t.Error("Close returned while a request was running")
	}
	<-answered
}

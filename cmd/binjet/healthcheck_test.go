package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheck(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			status = http.StatusNotFound
		}
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(`{"role": "leader"}`))
	}))
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	// On all addresses, as in a container: it is asked on this one.
	environ := []string{"BINJET_HTTP_LISTEN=0.0.0.0:" + port}
	if code, out, errs := do(environ, "healthcheck"); code != 0 || out != `{"role": "leader"}` {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	status = http.StatusServiceUnavailable
	if code, out, errs := do(environ, "healthcheck"); code != 1 || out != `{"role": "leader"}` {
		t.Errorf("not ready: exit %d: %s%s", code, out, errs)
	}
	server.Close()
	if code, _, errs := do(environ, "healthcheck"); code != 1 || !strings.Contains(errs, "next:") {
		t.Errorf("nobody there: exit %d: %s", code, errs)
	}
	if code, _, errs := do([]string{"BINJET_HTTP_LISTEN="}, "healthcheck"); code != 1 || !strings.Contains(errs, "set http.listen") {
		t.Errorf("no address: exit %d: %s", code, errs)
	}
}

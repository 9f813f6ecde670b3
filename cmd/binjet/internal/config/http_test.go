package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/testcert"
)

// TestHTTPToken: it comes from either key, is too long to be guessed, and is shown by nothing.
func TestHTTPToken(t *testing.T) {
	const dsn, token = "BINJET_SOURCE_DSN=u:p@tcp(h:1)/d", "0123456789abcdef"
	for _, env := range [][]string{{dsn, "BINJET_HTTP_TOKEN=" + token}, {dsn, "BINJET_HTTP_TOKEN_FILE=" + write(t, "token", token+"\n")}} {
		cfg, err := Load(Input{Environ: env})
		if err != nil || string(cfg.Admin.Token) != token {
			t.Errorf("%s: %v", env, err)
		}
		if text := fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg); strings.Contains(text, token) {
			t.Errorf("the token is shown: %s", text)
		}
	}
	for want, env := range map[string][]string{
		"http.token (BINJET_HTTP_TOKEN) is shorter than 16": {dsn, "BINJET_HTTP_TOKEN=0123456789abcde"},
		"http.token_file": {dsn, "BINJET_HTTP_TOKEN_FILE=" + write(t, "short", "guess\n")},
	} {
		if got := strings.Join(faults(t, Input{Environ: env}), "\n"); !strings.Contains(got, want) || strings.Contains(got, "0123456789") || strings.Contains(got, "guess") {
			t.Errorf("no fault holds %q, or it holds the secret:\n%s", want, got)
		}
	}
}

func TestHTTPTLS(t *testing.T) {
	ca, dir := testcert.NewCA(t), t.TempDir()
	ca.Write(t, dir, ca.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	env := func(cert, key string) []string {
		return []string{"BINJET_SOURCE_DSN=u:p@tcp(h:1)/d", "BINJET_HTTP_TLS_CERT=" + cert, "BINJET_HTTP_TLS_KEY=" + key}
	}
	if _, err := Load(Input{Environ: env(dir+"/cert.pem", dir+"/key.pem")}); err != nil {
		t.Error(err)
	}
	for want, env := range map[string][]string{
		"http.tls needs cert and key together":   env(dir+"/cert.pem", ""),
		"http.tls.key are no pair":               env(dir+"/ca.pem", dir+"/key.pem"),
		"http.tls.key are no pair that can be u": env(dir+"/cert.pem", dir+"/absent"),
	} {
		if got := strings.Join(faults(t, Input{Environ: env}), "\n"); !strings.Contains(got, want) {
			t.Errorf("no fault holds %q:\n%s", want, got)
		}
	}
}

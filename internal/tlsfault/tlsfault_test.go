package tlsfault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/testcert"
)

// handshake is the error of a client that trusts pool and expects name.
func handshake(t *testing.T, pair tls.Certificate, pool *x509.CertPool, name string) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool, ServerName: name})
	if err == nil {
		_ = c.Close()
	}
	<-done
	return err
}

func TestFaults(t *testing.T) {
	ca := testcert.NewCA(t)
	now := time.Now().Truncate(time.Second)
	long := 240 * time.Hour
	for name, test := range map[string]struct {
		from, to   time.Time
		pool       *x509.CertPool
		host, next string
	}{
		"expired":       {now.Add(-long), now.Add(-time.Hour), ca.Pool(), "db", "renew the server's certificate"},
		"not yet valid": {now.Add(time.Hour), now.Add(long), ca.Pool(), "db", "clocks"},
		"unknown CA":    {now.Add(-long), now.Add(long), x509.NewCertPool(), "db", "the CA that issued"},
		"other name":    {now.Add(-long), now.Add(long), ca.Pool(), "shop", "a name that the server's certificate has"},
	} {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("connect: %w", handshake(t, ca.Issue(t, test.from, test.to), test.pool, test.host))
			if !Is(err) || !strings.Contains(Next(err), test.next) {
				t.Errorf("%v: next %q", err, Next(err))
			}
			for _, word := range []string{stamp(test.from), stamp(test.to), "db, 127.0.0.1", "test CA"} {
				if what := Describe(err); !strings.Contains(what, word) {
					t.Errorf("no %s in %q", word, what)
				}
			}
		})
	}
	if err := handshake(t, ca.Issue(t, now.Add(-long), now.Add(long)), ca.Pool(), "db"); err != nil {
		t.Errorf("a good certificate: %v", err)
	}
	if err := errors.New("connection refused"); Is(err) || Next(err) != "" || Describe(err) != "" {
		t.Errorf("%v is told as one of TLS", err)
	}
	if next := Next(errors.New("remote error: tls: expired certificate")); !strings.Contains(next, "our client certificate") {
		t.Errorf("next %q", next)
	}
}

package admin

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is a pair of PEM files that are read again when they change, since
// certificates are renewed while we run. It is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	loaded stamp
}

// stamp tells whether files are the ones that were read.
type stamp struct {
	cert, key         time.Time
	certSize, keySize int64
}

// LoadCertificate reads a pair, which has to be usable now.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	at, err := c.stamp()
	if err != nil {
		return nil, err
	}
	return c, c.load(at)
}

// TLS is the configuration of a server that shows it.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil }}
}

// get is the pair as the files are now. While they can't be used, as when only one of
// them is written yet, the pair before stays.
func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.stamp()
	if err == nil && now != c.loaded {
		err = c.load(now)
	}
	if err != nil {
		c.log.Warn("the admin server's certificate can't be read again; the one before is shown", "error", err, "next", "check http.tls.cert and http.tls.key")
	}
	return c.pair
}

func (c *Certificate) load(at stamp) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read the certificate %s and its key %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair, c.loaded = &pair, at
	return nil
}

func (c *Certificate) stamp() (s stamp, err error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return s, err
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return s, err
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// tls is the configuration of one connection; nil when no key of the block is set.
// host is the name to verify where the block names none; "" leaves that to the
// client library.
func (l *loader) tls(prefix string, t TLS, host string) *tls.Config {
	if !t.on() {
		return nil
	}
	if !t.Enabled && l.isSet(prefix+".enabled") {
		l.fault(prefix+".enabled", "is false, but other keys of %s are set: leave them out too", prefix)
	}
	if (t.Cert == "") != (t.Key == "") {
		l.fault(prefix, "needs cert and key together")
		return nil
	}
	if l.fileOnly {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if t.CA != "" {
		if _, err := CAs(t.CA); err != nil {
			l.fault(prefix+".ca", "%s", err)
			return nil
		}
	}
	if t.Cert != "" {
		if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
			l.fault(prefix+".cert", "and %s.key are no pair that can be used: %s", prefix, strings.TrimPrefix(err.Error(), "tls: "))
			return nil
		}
		l.private(prefix+".key", t.Key)
	}
	conf, err := t.config(host)
	if err != nil {
		l.fault(prefix, "%s", err)
	}
	return conf
}

// config reads the CA now, and the client certificate at each handshake.
func (t TLS) config(host string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: or(t.ServerName, host), InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CA != "" {
		pool, err := CAs(t.CA)
		if err != nil {
			return nil, fmt.Errorf("ca %w", err)
		}
		conf.RootCAs = pool
	}
	if t.Cert != "" {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
			return &pair, err
		}
	}
	return conf, nil
}

func (t TLS) on() bool { return t != (TLS{}) }

// CAs reads a PEM file of certificates to trust. Errors continue the sentence
// "nats.tls.ca …".
func CAs(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("holds no PEM certificate: %s", path)
	}
	return pool, nil
}

package config

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
)

// tls builds the configuration of one connection; nil when no key of the block is
// set. host is the name to verify where the block names none; "" leaves that to
// the client library.
func (l *loader) tls(prefix string, t TLS, host string) *tls.Config {
	if !t.on() {
		return nil
	}
	if !t.Enabled && l.isSet(prefix+".enabled") {
		l.fault(prefix+".enabled", "is false, but other keys of %s are set: leave them out too", prefix)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: or(t.ServerName, host), InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CA != "" {
		conf.RootCAs = l.pool(prefix+".ca", t.CA)
	}
	switch {
	case (t.Cert == "") != (t.Key == ""):
		l.fault(prefix, "needs cert and key together")
	case t.Cert != "":
		if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
			l.fault(prefix+".cert", "and %s.key are no pair that can be used: %s", prefix, strings.TrimPrefix(err.Error(), "tls: "))
		}
		// Read at each handshake: certificates are renewed while we run.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
			return &pair, err
		}
	}
	return conf
}

func (t TLS) on() bool { return t != (TLS{}) }

func (l *loader) pool(key, path string) *x509.CertPool {
	pem, err := os.ReadFile(path)
	if err != nil {
		l.fault(key, "can't be read: %v", err)
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		l.fault(key, "holds no PEM certificate: %s", path)
	}
	return pool
}

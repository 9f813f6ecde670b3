// Package testcert issues certificates for tests.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority of one test.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes one that is valid for ten years, half of which lie behind.
func NewCA(tb testing.TB) *CA {
	tb.Helper()
	key := newKey(tb)
	year := 365 * 24 * time.Hour
	template := &x509.Certificate{SerialNumber: serial(tb), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-5 * year), NotAfter: time.Now().Add(5 * year),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return &CA{cert: cert, key: key}
}

// Pool trusts the CA alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Issue makes the certificate of a server "db" at 127.0.0.1.
func (ca *CA) Issue(tb testing.TB, from, to time.Time) tls.Certificate {
	tb.Helper()
	key := newKey(tb)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: serial(tb), Subject: pkix.Name{CommonName: "db"},
		NotBefore: from, NotAfter: to, DNSNames: []string{"db"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}},
		ca.cert, key.Public(), ca.key)
	must(tb, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Write puts the CA's certificate and a pair into dir, as ca.pem, cert.pem and
// key.pem, for servers of other users too.
func (ca *CA) Write(tb testing.TB, dir string, pair tls.Certificate) {
	tb.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(tb, err)
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: ca.cert.Raw}, "cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		must(tb, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o644))
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	return key
}

func serial(tb testing.TB) *big.Int {
	tb.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(tb, err)
	return n
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("testcert: %v", err)
	}
}

package config

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/testcert"
)

// TestClientCertificateIsRenewed: the next handshake uses what the files hold by then.
func TestClientCertificateIsRenewed(t *testing.T) {
	ca, dir := testcert.NewCA(t), t.TempDir()
	first, second := ca.Issue(t, time.Now(), time.Now().Add(time.Hour)), ca.Issue(t, time.Now(), time.Now().Add(2*time.Hour))
	ca.Write(t, dir, first)
	l := &loader{}
	conf := l.tls("nats.tls", TLS{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}, "db")
	for i, want := range [][]byte{first.Certificate[0], second.Certificate[0]} {
		got, err := conf.GetClientCertificate(nil)
		if err != nil || !bytes.Equal(got.Certificate[0], want) {
			t.Errorf("certificate %d is another one, or %v", i+1, err)
		}
		ca.Write(t, dir, second)
	}
}

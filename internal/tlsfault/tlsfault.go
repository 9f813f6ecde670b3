// Package tlsfault says in plain words why a TLS handshake failed: which
// certificate it was, when it is valid, and what to do.
package tlsfault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Is reports whether err comes from a handshake. Where a client hides what it
// wraps, the text tells.
func Is(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "x509:") || strings.Contains(err.Error(), "tls:"))
}

// Describe names the certificate that a server was refused for, with its dates;
// "" where err does not know it.
func Describe(err error) string {
	leaf := refused(err)
	if leaf == nil {
		return ""
	}
	return fmt.Sprintf("the server's certificate %q for %s, issued by %q, is valid from %s to %s",
		leaf.Subject, strings.Join(names(leaf), ", "), leaf.Issuer, stamp(leaf.NotBefore), stamp(leaf.NotAfter))
}

// Next is what to do about a failed handshake; "" where err is none.
func Next(err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch leaf := refused(err); {
	case !Is(err):
		return ""
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
		return "the certificate is not valid yet: compare the clocks of both hosts"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && leaf != nil && invalid.Cert != nil && !invalid.Cert.Equal(leaf):
		return fmt.Sprintf("the certificate of %q, which issued it, has expired at %s: renew that one, and what it issued", invalid.Cert.Subject, stamp(invalid.Cert.NotAfter))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate and have the server load it; nothing needs to be done here"
	case errors.As(err, &unknown):
		return "configure the CA that issued the server's certificate"
	case errors.As(err, &name):
		return "connect by a name that the server's certificate has, or configure the name to expect"
	case strings.Contains(err.Error(), "remote error: tls:"):
		return "the server refuses our client certificate, or the TLS version: check the configured cert and key, and their dates"
	}
	return "check the CA, and the names and dates of the server's certificate"
}

// refused is the certificate that was not accepted; nil where err holds none.
func refused(err error) *x509.Certificate {
	var bad *tls.CertificateVerificationError
	if !errors.As(err, &bad) || len(bad.UnverifiedCertificates) == 0 {
		return nil
	}
	return bad.UnverifiedCertificates[0]
}

func names(c *x509.Certificate) []string {
	list := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return []string{"no name"}
	}
	return list
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

package test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/internal/testcert"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestCertificateExpires: the certificates of the database and of the broker
// expire. Connections that are open go on; the next one is refused, which is said
// with the dates and the next step; and once the server has a new certificate the
// process goes on by itself, with nothing lost.
func TestCertificateExpires(t *testing.T) {
	t.Parallel()
	bin := testdb.Command(t)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			ca, dir := testcert.NewCA(t), t.TempDir()
			c := &certified{ca: ca, dir: dir}
			ca.Write(t, dir, c.issue(t, time.Hour))
			srv, db := startDB(t, dbserver.Options{Flavor: flavor, Args: []string{
				"--ssl-ca=" + dir + "/ca.pem", "--ssl-cert=" + dir + "/cert.pem", "--ssl-key=" + dir + "/key.pem"}})
			c.cmdWorld = newCmdWorld(t, bin, srv, db, "certified")
			c.secureBroker(t, c.issue(t, time.Hour))
			for k, v := range map[string]string{"BINJET_SOURCE_TLS_CA": dir + "/ca.pem", "BINJET_NATS_TLS_CA": dir + "/ca.pem",
				"BINJET_RELAY_COMMIT_TIMEOUT": "200ms", "BINJET_RELAY_HAND_OVER": "10m", "BINJET_SOURCE_HEARTBEAT": "100ms", "BINJET_SOURCE_READ_TIMEOUT": "500ms"} {
				c.env[k] = v
			}
			c.init(t)
			d := c.start(t, nil)
			d.eventually(t, "/readyz", 200, `"role": "leader"`)

			// One that expires while it is in use.
			const life = 10 * time.Second
			short := c.issue(t, life)
			over := time.After(life)
			c.loadDB(t, short)
			c.loadBroker(short)
			d.eventually(t, "/readyz", 200, `"role": "leader"`)
			c.insert(t, "a")
			c.untilPublished(t, "a")
			<-over
			c.insert(t, "b")
			c.untilPublished(t, "b")

			c.source().killDumps(t)
			d.eventually(t, "/readyz", 503, "the source has been disconnected for")
			c.refused(t, d, short)
			c.insert(t, "c")
			c.loadDB(t, c.issue(t, time.Hour))
			c.untilPublished(t, "c")

			c.nats.Restart()
			d.eventually(t, "/readyz", 503, "NATS has been disconnected for")
			c.refused(t, d, short)
			d.eventually(t, "/metrics", 200, "\nbinjet_nats_connected{source=\"certified\"} 0\n")
			c.insert(t, "d")
			c.loadBroker(c.issue(t, time.Hour))
			c.untilPublished(t, "d")
			d.eventually(t, "/readyz", 200, `"role": "leader"`)
			if code := d.stop(t); code != 0 {
				t.Errorf("exit %d: %s", code, d.text())
			}
			if got := strings.Join(c.published(t), " "); got != "a b c d" {
				t.Errorf("the stream holds %s", got)
			}
		})
	}
}

type certified struct {
	*cmdWorld
	ca   *testcert.CA
	dir  string // with the database's certificate
	pair atomic.Pointer[tls.Certificate]
}

// issue makes a certificate that expires after life.
func (c *certified) issue(t *testing.T, life time.Duration) tls.Certificate {
	t.Helper()
	return c.ca.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(life))
}

// secureBroker gives the world a broker that wants TLS. The test's own client is not picky.
func (c *certified) secureBroker(t *testing.T, pair tls.Certificate) {
	t.Helper()
	c.pair.Store(&pair)
	c.nats = natstest.Start(t, func(o *server.Options) {
		o.TLS = true
		o.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil }}
	})
	c.env["BINJET_NATS_URL"] = c.nats.URL()
	c.nc = c.nats.Connect(t, nats.Secure(&tls.Config{InsecureSkipVerify: true}))
	js, err := jetstream.New(c.nc)
	must(t, err)
	c.js = js
}

// loadDB has the database server use a certificate, and ends the process's connections.
func (c *certified) loadDB(t *testing.T, pair tls.Certificate) {
	t.Helper()
	c.ca.Write(t, c.dir, pair)
	if c.srv.Flavor() == dbserver.MySQL {
		execSQL(t, c.db, "ALTER INSTANCE RELOAD TLS")
	} else {
		execSQL(t, c.db, "FLUSH SSL")
	}
	c.source().killDumps(t)
}

// loadBroker has the broker use a certificate, and ends all connections.
func (c *certified) loadBroker(pair tls.Certificate) {
	c.pair.Store(&pair)
	c.nats.Restart()
}

// refused: the process says what is wrong with the certificate, and what to do.
func (c *certified) refused(t *testing.T, d *cmdDaemon, pair tls.Certificate) {
	t.Helper()
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	must(t, err)
	for _, words := range []string{"x509: certificate has expired", "for db, 127.0.0.1", "to " + leaf.NotAfter.UTC().Format("2006-01-02 15:04:05 UTC"),
		"next: renew the server's certificate"} {
		d.eventually(t, "/readyz", 503, words)
	}
}

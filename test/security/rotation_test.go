package security

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/leastprivilege"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/internal/testcert"
)

// TestDatabaseLoginIsRotated: a password changes on the server and in its file, and
// then the whole account. The process follows at its next connect, and meanwhile says
// why it can't.
func TestDatabaseLoginIsRotated(t *testing.T) {
	t.Parallel()
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		d, ns := startDatabase(t, flavor), natstest.Start(t)
		root := env{"BINJET_SOURCE_DSN": d.DSN("shop"), "BINJET_NATS_URL": ns.URL(), "BINJET_RELAY_HEARTBEAT": "200ms", "BINJET_RELAY_HAND_OVER": "10m"}
		root.ok(t, "init")
		d.grant(t, "streamer")
		published := reader(t, ns)

		file := secretFile(t, leastprivilege.Password+"\n")
		p := root.with(env{"BINJET_SOURCE_DSN": "binjet@tcp(" + d.Addr() + ")/shop", "BINJET_SOURCE_PASSWORD_FILE": file}).start(t)
		p.leads(t)
		d.exec(t, "ALTER USER binjet@'%' IDENTIFIED BY 'second'")
		d.disconnect(t, "binjet")
		p.answers(t, 503, "Access denied")
		write(t, file, "")
		p.answers(t, 503, "source.password_file names an empty file")
		write(t, file, "second\n")
		d.insert(t, "a")
		published(1)
		p.stop(t)

		file = secretFile(t, d.as("binjet", "second")+"\n")
		e := root.with(env{"BINJET_SOURCE_DSN_FILE": file})
		delete(e, "BINJET_SOURCE_DSN")
		p = e.start(t)
		p.leads(t)
		for _, statement := range leastprivilege.Grants(t, "streamer") {
			d.exec(t, strings.ReplaceAll(statement, "binjet@", "binjet2@"))
		}
		d.exec(t, "DROP USER binjet@'%'")
		d.disconnect(t, "binjet")
		p.answers(t, 503, "disconnected")
		write(t, file, "binjet2:secret@tcp(127.0.0.1:1)/shop")
		p.answers(t, 503, "source.dsn_file names tcp(127.0.0.1:1)/shop now, but was read as tcp("+d.Addr()+")/shop: restart")
		write(t, file, d.as("binjet2", leastprivilege.Password))
		d.insert(t, "b")
		published(2)
		p.stop(t)
	})
}

// TestCertificatesAreRotated: mutual TLS to both sides. Then all of it changes, the CA
// too: on the servers first, which refuses us, and then in our files.
func TestCertificatesAreRotated(t *testing.T) {
	t.Parallel()
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		theirs, ours := t.TempDir(), t.TempDir()
		ca := testcert.NewCA(t)
		issue(t, ca, theirs)
		issue(t, ca, ours)
		d := startDatabase(t, flavor, "--ssl-ca="+theirs+"/ca.pem", "--ssl-cert="+theirs+"/cert.pem", "--ssl-key="+theirs+"/key.pem")
		ns, load := mutualBroker(t, ca, theirs)
		d.grant(t, "init")
		d.exec(t, "ALTER USER binjet_init@'%' REQUIRE X509")
		e := env{"BINJET_SOURCE_DSN": d.as("binjet_init", leastprivilege.Password), "BINJET_NATS_URL": ns.URL(), "BINJET_RELAY_HEARTBEAT": "200ms", "BINJET_RELAY_HAND_OVER": "10m"}
		if code, out := e.run(t, patience, "init"); code != 1 || !strings.Contains(out, "Access denied") {
			t.Errorf("without a certificate: exit %d %s", code, out)
		}
		for _, side := range []string{"BINJET_SOURCE_TLS_", "BINJET_NATS_TLS_"} {
			e[side+"CA"], e[side+"CERT"], e[side+"KEY"] = ours+"/ca.pem", ours+"/cert.pem", ours+"/key.pem"
		}
		e.ok(t, "init")
		d.grant(t, "streamer")
		d.exec(t, "ALTER USER binjet@'%' REQUIRE X509")
		e["BINJET_SOURCE_DSN"] = d.as("binjet", leastprivilege.Password)
		if code, out := e.with(env{"BINJET_NATS_TLS_CERT": "", "BINJET_NATS_TLS_KEY": ""}).run(t, patience, "run"); code != 1 || !strings.Contains(out, "nats.tls") {
			t.Errorf("a broker that wants a certificate: exit %d %s", code, out)
		}
		published := reader(t, ns, nats.ClientCert(ours+"/cert.pem", ours+"/key.pem"), nats.RootCAs(ours+"/ca.pem"))
		p := e.start(t)
		p.leads(t)
		d.insert(t, "a")
		published(1)

		next := testcert.NewCA(t)
		issue(t, next, theirs)
		if flavor == dbserver.MySQL {
			d.exec(t, "ALTER INSTANCE RELOAD TLS")
		} else {
			d.exec(t, "FLUSH SSL")
		}
		load(next)
		d.disconnect(t, "binjet")
		p.answers(t, 503, "the source has been disconnected")
		p.answers(t, 503, "certificate signed by unknown authority")
		ns.Restart()
		p.answers(t, 503, "NATS has been disconnected")
		issue(t, next, ours)
		d.insert(t, "b")
		published(2)
		p.leads(t)
		p.stop(t)
	})
}

// issue puts a CA and a new certificate of it into a directory.
func issue(t *testing.T, ca *testcert.CA, dir string) {
	t.Helper()
	ca.Write(t, dir, ca.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
}

// mutualBroker takes nobody without a certificate. load has it use what dir holds by
// then, and trust ca alone.
func mutualBroker(t *testing.T, ca *testcert.CA, dir string) (ns *natstest.Server, load func(*testcert.CA)) {
	t.Helper()
	var current atomic.Pointer[tls.Config]
	load = func(ca *testcert.CA) {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		must(t, err)
		current.Store(&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert})
	}
	load(ca)
	ns = natstest.Start(t, func(o *server.Options) {
		o.TLS, o.TLSVerify = true, true
		o.TLSConfig = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Load(), nil }}
	})
	return ns, load
}

// reader waits until the stream holds so many events.
func reader(t *testing.T, ns *natstest.Server, opts ...nats.Option) func(events uint64) {
	t.Helper()
	js, err := jetstream.New(ns.Connect(t, opts...))
	must(t, err)
	return func(events uint64) {
		t.Helper()
		eventually(t, "events on the stream", func() string { return "" }, func() bool {
			stream, err := js.Stream(t.Context(), "OUTBOX")
			if err != nil {
				return false
			}
			info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("outbox.>"))
			return err == nil && info.State.Subjects["outbox.orders.created"] == events
		})
	}
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, text)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

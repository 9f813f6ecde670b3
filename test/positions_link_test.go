package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestSourceTrouble: whatever happens to the connection of a running process, it
// says so within seconds, and goes on by itself once it can.
func TestSourceTrouble(t *testing.T) {
	t.Parallel()
	bin := testdb.Command(t)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor})
			w := newCmdWorld(t, bin, srv, db, "trouble")
			w.init(t)
			execSQL(t, db, "CREATE USER reader@'%' IDENTIFIED BY 'old'")
			execSQL(t, db, "GRANT ALL ON *.* TO reader@'%'")
			p := newProxy(t, srv.Addr())
			d := w.start(t, map[string]string{
				"BINJET_SOURCE_DSN": "reader:old@tcp(" + p.addr() + ")/trouble", "BINJET_RELAY_COMMIT_TIMEOUT": "200ms",
				"BINJET_SOURCE_HEARTBEAT": "100ms", "BINJET_SOURCE_READ_TIMEOUT": "500ms",
				"BINJET_RELAY_HAND_OVER": "10m", // it has nobody to hand over to
			})
			root, err := db.Conn(t.Context())
			must(t, err)
			defer root.Close()
			c := &troubled{cmdWorld: w, daemon: d, root: root}
			c.goesOn(t, "start")
			d.follows(t) // that row may have been one of the snapshot
			c.goesOn(t, "follows")
			for _, trouble := range []struct {
				name string
				run  func(*testing.T, *troubled, *proxy)
			}{
				{"slow", troubleSlow}, {"silence", troubleSilence}, {"kill", troubleKill}, {"password", troublePassword}, {"locked", troubleLocked},
				{"tls", troubleTLS}, {"pause", troublePause}, {"restart", troubleRestart},
			} {
				t.Run(trouble.name, func(t *testing.T) {
					trouble.run(t, c, p)
					c.goesOn(t, trouble.name)
				})
			}
			if code := d.stop(t); code != 0 {
				t.Errorf("exit %d: %s", code, d.text())
			}
		})
	}
}

type troubled struct {
	*cmdWorld
	daemon *cmdDaemon
	root   *sql.Conn
}

// goesOn wants the process to be ready, and to publish.
func (c *troubled) goesOn(t *testing.T, id string) {
	t.Helper()
	c.daemon.eventually(t, "/readyz", 200, `"role": "leader"`)
	before, err := c.js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	c.insert(t, id)
	consumerEventually(t, "event "+id, func() bool {
		msg, err := before.GetLastMsgForSubject(t.Context(), "outbox.orders.created")
		return err == nil && msg.Header.Get("Outbox-Id") == id
	})
}

// lost wants the process to say within seconds that it has no source, and why.
func (c *troubled) lost(t *testing.T, why string) {
	t.Helper()
	started := time.Now()
	c.daemon.eventually(t, "/readyz", 503, "the source has been disconnected for")
	c.daemon.eventually(t, "/readyz", 503, why)
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("noticed after %s", took)
	}
}

// cut ends the process's connections, on a session that is open already.
func (c *troubled) cut(t *testing.T) {
	t.Helper()
	for {
		var id string
		if c.root.QueryRowContext(t.Context(), "SELECT ID FROM information_schema.PROCESSLIST WHERE USER='reader' AND COMMAND<>'Killed' LIMIT 1").Scan(&id) != nil {
			return
		}
		_, _ = c.root.ExecContext(t.Context(), "KILL CONNECTION "+id) // it may be gone already
	}
}

// troubleSilence: packets vanish, and no connection is reset.
func troubleSilence(t *testing.T, c *troubled, p *proxy) {
	p.silence(true)
	c.lost(t, "timeout")
	p.silence(false)
}

// troubleSlow: what comes trickles in. That is no lost connection.
func troubleSlow(t *testing.T, c *troubled, p *proxy) {
	p.slow(true)
	defer p.slow(false)
	c.cut(t) // so that connecting and verifying is slow, too
	c.daemon.eventually(t, "/metrics", 200, "\nbinjet_source_connected{source=\"trouble\"} 0\n")
	c.goesOn(t, "slowly")
	before := strings.Count(c.daemon.text(), "source is not connected")
	for _, id := range []string{"slowly-1", "slowly-2", "slowly-3"} {
		c.goesOn(t, id)
	}
	if n := strings.Count(c.daemon.text(), "source is not connected"); n != before {
		t.Errorf("lost %d times while it was slow", n-before)
	}
}

func troubleKill(t *testing.T, c *troubled, _ *proxy) {
	for range 5 {
		c.cut(t)
	}
}

func troublePassword(t *testing.T, c *troubled, _ *proxy) {
	execSQL(t, c.db, "ALTER USER reader@'%' IDENTIFIED BY 'new'")
	c.cut(t)
	c.lost(t, "Access denied")
	execSQL(t, c.db, "ALTER USER reader@'%' IDENTIFIED BY 'old'")
}

// troubleLocked: the account is locked, and then its password expires.
func troubleLocked(t *testing.T, c *troubled, _ *proxy) {
	for change, next := range map[string]string{"ACCOUNT LOCK": "ACCOUNT UNLOCK", "PASSWORD EXPIRE": "PASSWORD EXPIRE NEVER keeps it"} {
		execSQL(t, c.db, "ALTER USER reader@'%' "+change)
		c.cut(t)
		c.lost(t, next)
		execSQL(t, c.db, "ALTER USER reader@'%' ACCOUNT UNLOCK")
		execSQL(t, c.db, "ALTER USER reader@'%' IDENTIFIED BY 'old'")
		c.goesOn(t, "unlocked-"+change[:7])
	}
}

// troubleTLS: the server comes to want TLS, which the process does not use.
func troubleTLS(t *testing.T, c *troubled, _ *proxy) {
	if c.srv.Flavor() == dbserver.MariaDB && querySQL(t, c.db, "SELECT @@have_ssl") != "YES" {
		return // before 11.4 it makes no certificate by itself
	}
	set := func(on string) {
		_, err := c.root.ExecContext(t.Context(), "SET GLOBAL require_secure_transport="+on)
		must(t, err)
	}
	set("ON")
	c.cut(t)
	c.lost(t, "require_secure_transport")
	set("OFF")
}

func troublePause(t *testing.T, c *troubled, _ *proxy) {
	must(t, c.srv.Pause())
	c.lost(t, "timeout")
	must(t, c.srv.Resume())
}

func troubleRestart(t *testing.T, c *troubled, _ *proxy) {
	must(t, c.srv.Kill())
	c.lost(t, "")
	must(t, c.srv.Restart(t.Context()))
}

// TestSourceCertificate: a certificate that is not trusted is told, and tried again.
func TestSourceCertificate(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		if s.srv.Flavor() == dbserver.MariaDB && querySQL(t, s.db, "SELECT @@have_ssl") != "YES" {
			return // before 11.4 it makes no certificate by itself
		}
		pos := begin(t, s.reader(t, nil))
		lost := make(chan error, 100)
		r := s.reader(t, func(c *binlog.Config) {
			quick(c)
			c.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "db"}
			c.Hooks.Disconnected = func(err error) { lost <- err }
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error)
		go func() { done <- r.Stream(ctx, pos, func(*checkpoint.Transaction) error { return nil }) }()
		for range 3 {
			if err := <-lost; !strings.Contains(err.Error(), "x509") && !strings.Contains(err.Error(), "certificate") {
				t.Errorf("lost by %v", err)
			}
		}
		cancel()
		<-done
	})
}

// proxy forwards connections, until it is told to swallow what comes.
type proxy struct {
	target string
	l      net.Listener

	mu     sync.Mutex
	silent bool
	crawls bool
	before func([]byte) // is called with what comes, unless nil
	conns  []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{target: target, l: l}
	t.Cleanup(p.close)
	go p.accept()
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		go p.forward(in, out)
		go p.forward(out, in)
	}
}

// forward copies until either end is closed. What comes during a silence is lost.
func (p *proxy) forward(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	swallowed := false
	size := len(buf)
	for {
		n, err := from.Read(buf[:size])
		if err != nil {
			return
		}
		p.mu.Lock()
		swallowed = swallowed || p.silent // a hole in the middle would be another fault
		crawls, before := p.crawls, p.before
		p.mu.Unlock()
		if before != nil {
			before(buf[:n])
		}
		if size = len(buf); crawls {
			size = 512
			<-time.After(20 * time.Millisecond)
		}
		if swallowed {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) onBytes(before func([]byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = before
}

func (p *proxy) silence(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = on
}

// slow lets through some 25 KB a second, a little at a time.
func (p *proxy) slow(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crawls = on
}

func (p *proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

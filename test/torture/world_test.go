package torture

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
)

// database is the server, and the checker's own way to it.
type database struct {
	*sql.DB
	server *dbserver.Server
}

// world is everything of one run.
type world struct {
	t   *testing.T
	dir string

	db        database
	nats      *cluster
	nc        *nats.Conn
	links     *links
	streamers []*process
	admin     []string // addresses of their metrics
	handlers  []*process
}

// setting is what a run is made of.
type setting struct {
	flavor   dbserver.Flavor
	nodes    int
	streamer string // the program
	mutant   string // what is broken in it, or in the handlers; "" for nothing
}

func newWorld(t *testing.T, s setting) *world {
	t.Helper()
	w := &world{t: t, dir: *keep, links: newLinks()}
	if w.dir == "" {
		w.dir = t.TempDir()
	} else {
		w.dir = filepath.Join(w.dir, strings.ReplaceAll(t.Name(), "/", "-"))
		must(t, os.RemoveAll(w.dir)) // of an earlier run
		must(t, os.MkdirAll(w.dir, 0o755))
	}
	w.startDatabase(s.flavor)
	var err error
	w.nats, err = newCluster(w.dir, s.nodes)
	t.Cleanup(w.nats.close)
	must(t, err)
	w.nc, err = w.nats.connect()
	must(t, err)
	t.Cleanup(w.nc.Close)
	t.Cleanup(w.links.close)
	must(t, w.until("JetStream is ready", time.Minute, func() bool {
		_, err := w.ask("$JS.API.INFO")
		return err == nil
	}))
	w.startStreamers(s)
	must(t, w.until("a stream", time.Minute, func() bool {
		info, err := w.ask("$JS.API.STREAM.INFO.OUTBOX")
		return err == nil && info["error"] == nil
	}))
	w.startHandlers(s)
	return w
}

func (w *world) startDatabase(flavor dbserver.Flavor) {
	t := w.t
	args := []string{"--max-connections=300", "--innodb-lock-wait-timeout=3"}
	if flavor == dbserver.MariaDB {
		args = append(args, "--plugin-load-add=ha_blackhole")
	}
	srv, err := dbserver.Start(t.Context(), dbserver.Options{Flavor: flavor, Durable: true, Args: args, Progress: func(s string) { t.Log(s) }})
	must(t, err)
	t.Cleanup(func() { must(t, srv.Close()) })
	w.db.server = srv
	db, err := sql.Open("mysql", srv.DSN("")+"?multiStatements=true")
	must(t, err)
	_, err = db.ExecContext(t.Context(), `CREATE DATABASE shop; CREATE DATABASE handled; USE shop;
		CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, note TEXT) ENGINE=InnoDB;
		CREATE TABLE notes (id BIGINT AUTO_INCREMENT PRIMARY KEY, note TEXT) ENGINE=MyISAM;
		CREATE TABLE hot (id INT PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB;
		INSERT INTO hot VALUES (0,0), (1,0), (2,0), (3,0);
		CREATE TABLE handled.effects (n BIGINT AUTO_INCREMENT PRIMARY KEY, id VARCHAR(64), message_key VARCHAR(64), seq BIGINT UNSIGNED) ENGINE=InnoDB`)
	must(t, err)
	must(t, db.Close())
	w.db.DB, err = sql.Open("mysql", srv.DSN("shop")+"?timeout=5s&readTimeout=30s")
	must(t, err)
	w.db.SetMaxIdleConns(20)
	t.Cleanup(func() { _ = w.db.Close() })
	for table, engine := range map[string]string{"outbox": "InnoDB", "outbox_hole": "BLACKHOLE"} {
		_, err := w.db.ExecContext(t.Context(), strings.ReplaceAll(strings.ReplaceAll(outboxTable, "{table}", table), "{engine}", engine))
		must(t, err)
	}
	in, err := inbox.NewSQL(inbox.SQLConfig{Dialect: inbox.MySQL})
	must(t, err)
	handled, err := sql.Open("mysql", srv.DSN("handled"))
	must(t, err)
	defer handled.Close()
	must(t, in.EnsureSchema(t.Context(), handled))
}

// outboxTable is the wire contract's, written out: nothing here is asked of binjet.
const outboxTable = `CREATE TABLE {table} (
  id           VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  topic        VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  message_key  VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  headers      LONGBLOB     NULL,
  payload      LONGBLOB     NOT NULL,
  created_at   TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE={engine}`

// natsLinks opens a link to each node for one process.
func (w *world) natsLinks(who string) (urlList string) {
	var addrs []string
	for i, addr := range w.nats.addrs() {
		l, err := w.links.to(fmt.Sprintf("%s to NATS %d", who, i+1), addr)
		must(w.t, err)
		addrs = append(addrs, l.addr())
	}
	return urls(addrs)
}

func (w *world) startStreamers(s setting) {
	ports, err := freePorts(2)
	must(w.t, err)
	for i, port := range ports {
		name := fmt.Sprintf("streamer-%d", i+1)
		l, err := w.links.to(name+" to the database", w.db.server.Addr())
		must(w.t, err)
		admin := fmt.Sprintf("127.0.0.1:%d", port)
		env := append(os.Environ(),
			"BINJET_SOURCE_NAME=shop", "BINJET_SOURCE_START=earliest", "BINJET_SOURCE_TABLES=outbox,outbox_hole",
			"BINJET_SOURCE_DSN=root@tcp("+l.addr()+")/shop", "BINJET_SOURCE_HEARTBEAT=300ms", "BINJET_NATS_URL="+w.natsLinks(name),
			fmt.Sprintf("BINJET_STREAM_REPLICAS=%d", s.nodes), "BINJET_HTTP_LISTEN="+admin, "BINJET_LOG_FORMAT=json",
			"BINJET_RELAY_HEARTBEAT=150ms", "BINJET_RELAY_COMMIT_TIMEOUT=500ms", mutantEnv+"="+s.mutant)
		p, err := newProcess(w.dir, name, func() *exec.Cmd {
			cmd := exec.Command(s.streamer, "run")
			cmd.Env, cmd.Dir = env, w.dir
			return cmd
		})
		must(w.t, err)
		w.streamers, w.admin = append(w.streamers, p), append(w.admin, admin)
		w.t.Cleanup(p.kill)
	}
}

func (w *world) startHandlers(s setting) {
	for i := range 2 {
		name := fmt.Sprintf("handler-%d", i+1)
		l, err := w.links.to(name+" to the database", w.db.server.Addr())
		must(w.t, err)
		env := []string{"NATS=" + w.natsLinks(name), "DSN=root@tcp(" + l.addr() + ")/handled?timeout=2s&readTimeout=5s&writeTimeout=5s", mutantEnv + "=" + s.mutant}
		p, err := newProcess(w.dir, name, func() *exec.Cmd { return self("handler", env...) })
		must(w.t, err)
		w.handlers = append(w.handlers, p)
		w.t.Cleanup(p.kill)
	}
}

// revive starts again what ended by itself, as a supervisor does. A streamer that
// says that a promise would be broken has failed the run.
func (w *world) revive() error {
	for _, p := range append(append([]*process{}, w.streamers...), w.handlers...) {
		code, ended := p.ended()
		switch {
		case !ended:
			continue
		case code == 2 || code == 3:
			return fmt.Errorf("%s ended with code %d: see its log", p.name, code)
		}
		if err := p.start(); err != nil {
			return err
		}
	}
	return nil
}

// until polls, for as long as a cluster may take to recover on a slow machine, and
// revives meanwhile.
func (w *world) until(what string, within time.Duration, cond func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for !cond() {
		if err := w.revive(); err != nil {
			return fmt.Errorf("while waiting for %s: %w", what, err)
		}
		wait(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("waited for %s, for %s", what, within)
		}
	}
	return nil
}

// ask sends a request to the JetStream API.
func (w *world) ask(subject string, body ...byte) (map[string]any, error) {
	msg, err := w.nc.Request(subject, body, 2*time.Second)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	return answer, json.Unmarshal(msg.Data, &answer)
}

// allCurrent reports whether every replica of every stream has everything.
func (w *world) allCurrent() bool {
	answer, err := w.ask("$JS.API.STREAM.LIST", []byte(`{"offset":0}`)...)
	if err != nil || answer["error"] != nil {
		return false
	}
	data, err := json.Marshal(answer["streams"])
	if err != nil {
		return false
	}
	var list []struct {
		Cluster struct {
			Leader   string `json:"leader"`
			Replicas []struct {
				Current bool `json:"current"`
				Offline bool `json:"offline"`
			} `json:"replicas"`
		} `json:"cluster"`
	}
	if json.Unmarshal(data, &list) != nil || len(list) == 0 {
		return false
	}
	for _, s := range list {
		if s.Cluster.Leader == "" {
			return false
		}
		for _, r := range s.Cluster.Replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
	}
	return true
}

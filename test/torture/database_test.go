package torture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// database is the server, maybe with a replica, and the writers' and the checker's own
// way to whichever is the primary.
type database struct {
	*sql.DB
	servers []*dbserver.Server
	printer string       // the server's own program that prints its binlog
	main    atomic.Int32 // the place of the primary
	closed  atomic.Bool  // nobody is let in: it fails over
	links   []*link      // of the others
}

func (d *database) primary() *dbserver.Server { return d.servers[d.main.Load()] }

func (d *database) flavor() dbserver.Flavor { return d.servers[0].Flavor() }

func (w *world) startDatabase(s setting) {
	t := w.t
	w.db = &database{}
	n := 1
	if s.wide && s.flavor == dbserver.MySQL {
		n = 2
	}
	for i := range n {
		args := []string{"--max-connections=300", "--innodb-lock-wait-timeout=3",
			// An ALTER that waits for an undecided XA transaction keeps everybody else waiting, too.
			"--lock-wait-timeout=3", fmt.Sprintf("--server-id=%d", i+1)}
		if s.flavor == dbserver.MariaDB {
			args = append(args, "--plugin-load-add=ha_blackhole", "--log-bin-compress-min-len=10")
		}
		srv := testdb.New(t, dbserver.Options{Flavor: s.flavor, Durable: true, Args: args})
		w.db.servers = append(w.db.servers, srv)
	}
	var err error
	w.db.printer, err = w.db.primary().Program(t.Context(), map[dbserver.Flavor]string{dbserver.MySQL: "mysqlbinlog", dbserver.MariaDB: "mariadb-binlog"}[s.flavor])
	must(t, err) // now, since without it the run would prove nothing
	config, err := mysql.ParseDSN(w.db.primary().DSN("shop") + "?timeout=5s&readTimeout=30s")
	must(t, err)
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		if w.db.closed.Load() {
			return nil, errors.New("the database fails over")
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", w.db.primary().Addr())
	}
	connector, err := mysql.NewConnector(config)
	must(t, err)
	w.makeTables()
	w.db.DB = sql.OpenDB(connector)
	w.db.SetMaxIdleConns(20)
	t.Cleanup(func() { _ = w.db.Close() })
	if n > 1 {
		must(t, w.follow(t.Context(), w.db.servers[1], w.db.servers[0]))
	}
}

func (w *world) makeTables() {
	t := w.t
	db, err := sql.Open("mysql", w.db.primary().DSN("")+"?multiStatements=true")
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE DATABASE shop; CREATE DATABASE handled; USE shop;
		CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, note TEXT) ENGINE=InnoDB;
		CREATE TABLE notes (id BIGINT AUTO_INCREMENT PRIMARY KEY, note TEXT) ENGINE=MyISAM;
		CREATE TABLE hot (id INT PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB;
		INSERT INTO hot VALUES (0,0), (1,0), (2,0), (3,0);
		CREATE TABLE handled.effects (n BIGINT AUTO_INCREMENT PRIMARY KEY, id VARCHAR(64), message_key VARCHAR(64), seq BIGINT UNSIGNED) ENGINE=InnoDB;
		CREATE USER streamer@'%' IDENTIFIED BY 'secret'; GRANT REPLICATION SLAVE ON *.* TO streamer@'%';
		CREATE USER handler@'%' IDENTIFIED BY 'secret'; GRANT ALL ON handled.* TO handler@'%'`)
	must(t, err)
	for table, engine := range map[string]string{"outbox": "InnoDB", "outbox_hole": "BLACKHOLE"} {
		_, err := db.ExecContext(t.Context(), "USE shop; "+strings.ReplaceAll(strings.ReplaceAll(outboxTable, "{table}", table), "{engine}", engine)+
			"; GRANT SELECT ON shop."+table+" TO streamer@'%'")
		must(t, err)
	}
	in, err := inbox.NewSQL(inbox.SQLConfig{Dialect: inbox.MySQL})
	must(t, err)
	handled, err := sql.Open("mysql", w.db.primary().DSN("handled"))
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

// on runs statements on one server, whichever is the primary.
func on(ctx context.Context, srv *dbserver.Server, statements ...string) error {
	db, err := sql.Open("mysql", srv.DSN("")+"?timeout=5s&readTimeout=30s")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// follow makes one server the replica of another.
func (w *world) follow(ctx context.Context, replica, source *dbserver.Server) error {
	host, port, err := net.SplitHostPort(source.Addr())
	if err != nil {
		return err
	}
	return on(ctx, replica, fmt.Sprintf(`CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_PORT=%s, SOURCE_USER='root',
		SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=100000`, host, port), "START REPLICA")
}

// failedOver: nobody is let to the primary any more; when the replica has everything,
// the primary is killed and the replica becomes what it was, under load. The old one
// comes back as a replica of the new one.
func (w *world) failedOver() (func() error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	at := w.db.main.Load()
	old, next := w.db.servers[at], w.db.servers[1-at]
	w.db.closed.Store(true)
	for _, l := range w.db.links {
		l.cut()
	}
	var why error
	if err := w.until("the replica has everything", time.Minute, func() bool {
		if why = w.empty(ctx, old); why == nil {
			why = w.complete(ctx, old, next)
		}
		return why == nil
	}); err != nil {
		return nil, errors.Join(err, why)
	}
	if err := old.Kill(); err != nil {
		return nil, err
	}
	if err := on(ctx, next, "STOP REPLICA", "RESET REPLICA ALL"); err != nil {
		return nil, err
	}
	w.db.main.Store(1 - at)
	w.db.closed.Store(false)
	for _, l := range w.db.links {
		if err := l.lead(next.Addr()); err != nil {
			return nil, err
		}
	}
	return func() error {
		if err := old.Restart(context.Background()); err != nil {
			return err
		}
		return w.follow(context.Background(), old, next)
	}, nil
}

// empty ends all connections but the replica's. A transaction may still end by itself.
func (w *world) empty(ctx context.Context, srv *dbserver.Server) error {
	db, err := sql.Open("mysql", srv.DSN("")+"?timeout=5s&readTimeout=30s")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if n, err := disconnect(ctx, db, "USER IN ('root', '"+streamerUser+"', '"+handlerUser+"') AND COMMAND NOT LIKE 'Binlog Dump%'"); err != nil || n > 0 {
		return fmt.Errorf("%d connections were open: %w", n, err)
	}
	return nil
}

// complete: what source has executed, replica has, too.
func (w *world) complete(ctx context.Context, source, replica *dbserver.Server) error {
	var executed string
	if err := scan(ctx, source, &executed, "SELECT @@GLOBAL.gtid_executed"); err != nil {
		return err
	}
	var all bool
	if err := scan(ctx, replica, &all, "SELECT GTID_SUBSET(?, @@GLOBAL.gtid_executed)", executed); err != nil {
		return err
	}
	if !all {
		return fmt.Errorf("the replica lacks some of %s", executed)
	}
	return nil
}

func scan(ctx context.Context, srv *dbserver.Server, into any, query string, args ...any) error {
	db, err := sql.Open("mysql", srv.DSN("")+"?timeout=5s&readTimeout=30s")
	if err != nil {
		return err
	}
	defer db.Close()
	return db.QueryRowContext(ctx, query, args...).Scan(into)
}

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
)

// The services' own tables. The history has no unique key on the event: it would
// hide what is handled twice.
const (
	createOrders = `CREATE TABLE orders (
  id      VARCHAR(32) NOT NULL PRIMARY KEY,
  version INT         NOT NULL
) ENGINE=InnoDB`
	createHistory = `CREATE TABLE history (
  n        BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
  event_id VARCHAR(64) NOT NULL,
  order_id VARCHAR(32) NOT NULL,
  version  INT         NOT NULL
) ENGINE=InnoDB`
)

// database is the demo's own database on a server that it started or was given.
type database struct {
	*sql.DB
	cfg   *mysql.Config
	about string // the server, for people
	close []func() error
}

// openDatabase starts a throw-away server, or takes the one at s.dsn, and makes a
// database with all tables. progress is told what takes long.
func openDatabase(ctx context.Context, s settings, progress func(string)) (*database, error) {
	d := &database{}
	err := d.open(ctx, s, progress)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *database) open(ctx context.Context, s settings, progress func(string)) error {
	dsn := s.dsn
	if dsn == "" {
		srv, err := dbserver.Start(ctx, dbserver.Options{Flavor: s.flavor, Progress: progress})
		if err != nil {
			return err
		}
		d.close = append(d.close, srv.Close)
		dsn = srv.DSN("")
	}
	var err error
	if d.cfg, err = mysql.ParseDSN(dsn); err != nil {
		return fmt.Errorf("BINJET_DEMO_DSN: %w", err)
	}
	d.cfg.DBName = "binjet_demo_" + strings.ToLower(rand.Text()[:8])
	d.cfg.InterpolateParams = true // saves a round trip for each statement
	if err := d.create(ctx, s.dsn != ""); err != nil {
		return err
	}
	if d.DB, err = openPool(d.cfg); err != nil {
		return err
	}
	d.close = append(d.close, d.DB.Close)
	return d.createTables(ctx)
}

// create makes the database, and has it dropped at the end when the server stays.
func (d *database) create(ctx context.Context, stays bool) error {
	noName := d.cfg.Clone()
	noName.DBName = ""
	admin, err := openPool(noName)
	if err != nil {
		return err
	}
	d.close = append(d.close, admin.Close)
	var version string
	if err := admin.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return fmt.Errorf("connect to the database server: %w", err)
	}
	d.about = aboutServer(version)
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+d.cfg.DBName); err != nil {
		return fmt.Errorf("create the demo's database: %w", err)
	}
	if stays {
		d.close = append(d.close, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if _, err := admin.ExecContext(ctx, "DROP DATABASE "+d.cfg.DBName); err != nil {
				return fmt.Errorf("drop the demo's database %s: %w", d.cfg.DBName, err)
			}
			return nil
		})
	}
	return nil
}

// aboutServer makes "MariaDB 11.8.9" of "11.8.9-MariaDB-log".
func aboutServer(version string) string {
	number, rest, _ := strings.Cut(version, "-")
	if strings.Contains(rest, "MariaDB") {
		return "MariaDB " + number
	}
	return "MySQL " + number
}

func openPool(cfg *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("database configuration: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(writers + 2) // one for each writer, the reader and the check
	return db, nil
}

func (d *database) createTables(ctx context.Context) error {
	createOutbox, err := binjet.OutboxSQL(binjet.DefaultTable)
	if err != nil {
		return err
	}
	for _, statement := range []string{createOutbox, createOrders, createHistory} {
		if _, err := d.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the demo's tables: %w", err)
		}
	}
	for number := range orderCount {
		if _, err := d.ExecContext(ctx, "INSERT INTO orders (id, version) VALUES (?, 0)", orderID(number)); err != nil {
			return fmt.Errorf("make the demo's orders: %w", err)
		}
	}
	seen, err := inbox.NewSQL(inbox.SQLConfig{})
	if err != nil {
		return err
	}
	return seen.EnsureSchema(ctx, d.DB)
}

// Close undoes what was done, the last first.
func (d *database) Close() error {
	var errs []error
	for i := len(d.close) - 1; i >= 0; i-- {
		errs = append(errs, d.close[i]())
	}
	d.close = nil
	return errors.Join(errs...)
}

// broker is a nats-server inside of this process, and a connection to it.
type broker struct {
	srv *server.Server
	nc  *nats.Conn
	js  jetstream.JetStream
}

func startBroker(dir string) (*broker, error) {
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: filepath.Join(dir, "nats"),
	})
	if err != nil {
		return nil, fmt.Errorf("configure nats-server: %w", err)
	}
	b := &broker{srv: srv}
	go srv.Start() // Close ends it
	if !srv.ReadyForConnections(patience) {
		b.Close()
		return nil, fmt.Errorf("nats-server accepts no connections after %s", patience)
	}
	if b.nc, err = nats.Connect(srv.ClientURL(), nats.MaxReconnects(-1)); err == nil {
		b.js, err = jetstream.New(b.nc)
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("connect to nats-server: %w", err)
	}
	return b, nil
}

// Close ends the connection and the server, and waits for it.
func (b *broker) Close() {
	if b.nc != nil {
		b.nc.Close()
	}
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

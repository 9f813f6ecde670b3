package dev

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/internal/dbserver"
)

// Schema is the database that is made on the server.
const Schema = "app"

const stopTimeout = 8 * time.Second

// Database is a throw-away server. It is a child of this process.
type Database struct {
	srv *dbserver.Server
	log *slog.Logger
}

// StartDatabase runs one on the home, and makes [Schema] when it is absent. flavor is
// "" for that of the last start, and MySQL at the first; another one than there is, is
// refused. The port is the given one, else that of the last start, else a free one.
func StartDatabase(ctx context.Context, h *Home, flavor dbserver.Flavor, port int, log *slog.Logger) (*Database, error) {
	switch was := h.State.Flavor; {
	case flavor == "" && was == "":
		flavor = dbserver.MySQL
	case flavor == "":
		flavor = was
	case was != "" && was != flavor:
		return nil, fmt.Errorf("%s holds a %s, not a %s, and a stream with the events of it; next: --fresh throws both away, another --dir keeps them", h.Dir, was, flavor)
	}
	if port == 0 {
		port = h.State.DatabasePort
	}
	srv, err := dbserver.Start(ctx, dbserver.Options{Flavor: flavor, Port: port, Dir: h.path(string(flavor)),
		Progress: func(line string) { log.Info(line) }})
	if err != nil {
		return nil, err
	}
	d := &Database{srv: srv, log: log}
	if err := d.create(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	h.State.Flavor = flavor
	_, err = fmt.Sscanf(srv.Addr(), "127.0.0.1:%d", &h.State.DatabasePort)
	return d, err
}

func (d *Database) create(ctx context.Context) error {
	c, err := mysql.ParseDSN(d.srv.DSN(""))
	if err != nil {
		return err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+Schema); err != nil {
		return fmt.Errorf("create the database %s: %w", Schema, err)
	}
	return nil
}

// DSN is for github.com/go-sql-driver/mysql, and for binjet.
func (d *Database) DSN() string { return d.srv.DSN(Schema) }

// About is the server in words: "MySQL 9.7.4".
func (d *Database) About() string { return d.srv.Flavor().String() + " " + d.srv.Version() }

// Addr is host:port.
func (d *Database) Addr() string { return d.srv.Addr() }

// Guard is a context that ends when the server ends by itself, with the reason as its cause.
func (d *Database) Guard(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-d.srv.Done():
			cancel(fmt.Errorf("%s ended by itself: %s says why", d.About(), d.srv.LogFile()))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Close stops the server; its data stays.
func (d *Database) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return errors.Join(d.srv.Stop(ctx), d.srv.Close())
}

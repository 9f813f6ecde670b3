// The command layers places an order with each of the data layers that it shows,
// on a throw-away server, and prints what is in the outbox afterwards:
//
//	go run ./layers
//
// The packages below it are the examples.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	_ "github.com/go-sql-driver/mysql"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/examples/layers/buntx"
	"github.com/binjet/binjet/examples/layers/enttx"
	"github.com/binjet/binjet/examples/layers/enttx/ent"
	"github.com/binjet/binjet/examples/layers/gormtx"
	"github.com/binjet/binjet/examples/layers/shop"
	"github.com/binjet/binjet/examples/layers/sqltx"
	"github.com/binjet/binjet/examples/layers/sqlxtx"
	"github.com/binjet/binjet/internal/dbserver"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	srv, err := dbserver.Start(ctx, dbserver.Options{Progress: func(line string) { log.Print(line) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	db, err := open(ctx, srv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	placed, err := shop.NewPlaced()
	if err != nil {
		return err
	}
	if err := place(ctx, db, placed); err != nil {
		return err
	}
	return show(ctx, db)
}

// open makes the tables.
func open(ctx context.Context, srv *dbserver.Server) (*sql.DB, error) {
	outbox, err := binjet.OutboxSQL("shop." + binjet.DefaultTable)
	if err != nil {
		return nil, err
	}
	admin, err := sql.Open("mysql", srv.DSN(""))
	if err != nil {
		return nil, err
	}
	_, err = admin.ExecContext(ctx, "CREATE DATABASE shop")
	if err == nil {
		_, err = admin.ExecContext(ctx, outbox)
	}
	if err = errors.Join(err, admin.Close()); err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", srv.DSN("shop"))
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, shop.Schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// place places an order in each way. One pool serves them all.
func place(ctx context.Context, db *sql.DB, placed *shop.Placed) error {
	gormDB, err := gorm.Open(gormmysql.New(gormmysql.Config{Conn: db}), &gorm.Config{PrepareStmt: true})
	if err != nil {
		return err
	}
	order := func(id string) shop.Order { return shop.Order{ID: id, Total: 12} }
	return errors.Join(
		sqltx.Place(ctx, db, placed, order("database/sql")),
		sqltx.PlaceByHand(ctx, db, placed, order("database/sql, by hand")),
		sqltx.PlaceOnConn(ctx, db, placed, order("sql.Conn")),
		sqltx.Announce(ctx, db, placed, order("sql.DB")),
		sqlxtx.Place(ctx, sqlx.NewDb(db, "mysql"), placed, order("sqlx")),
		gormtx.Place(ctx, gormDB, placed, order("gorm")),
		gormDB.WithContext(ctx).Create(&gormtx.Order{ID: "gorm, by a hook", Total: 12, Placed: placed}).Error,
		buntx.Place(ctx, bun.NewDB(db, mysqldialect.New()), placed, order("bun")),
		enttx.Place(ctx, ent.NewClient(ent.Driver(entsql.OpenDB(dialect.MySQL, db))), placed, order("ent")),
		enttx.PlaceOver(ctx, db, placed, order("ent, over a sql.Tx")),
	)
}

func show(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SELECT message_key, topic, headers, payload FROM outbox ORDER BY id")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key, topic, headers, payload string
		if err := rows.Scan(&key, &topic, &headers, &payload); err != nil {
			return err
		}
		fmt.Printf("%-22s %s %s %s\n", key, topic, headers, payload)
	}
	return rows.Err()
}

// Package sqltx inserts events with database/sql, in its three ways.
package sqltx

import (
	"context"
	"database/sql"
	"errors"

	"github.com/binjet/binjet/examples/layers/shop"
	"github.com/binjet/binjet/producer"
)

const insertOrder = "INSERT INTO orders (id, total) VALUES (?, ?)"

// Place places an order in a *sql.Tx that producer.InTx begins and ends.
func Place(ctx context.Context, db *sql.DB, placed *shop.Placed, o shop.Order) error {
	return producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, insertOrder, o.ID, o.Total); err != nil {
			return err
		}
		return placed.Insert(ctx, tx, o.ID, o)
	})
}

// PlaceByHand does the same with a transaction that is begun and ended by hand.
func PlaceByHand(ctx context.Context, db *sql.DB, placed *shop.Placed, o shop.Order) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing is left to roll back after Commit
	if _, err := tx.ExecContext(ctx, insertOrder, o.ID, o.Total); err != nil {
		return err
	}
	if err := placed.Insert(ctx, tx, o.ID, o); err != nil {
		return err
	}
	return tx.Commit()
}

// PlaceOnConn does the same on a connection of its own, whose transaction is
// controlled by statements.
func PlaceOnConn(ctx context.Context, db *sql.DB, placed *shop.Placed, o shop.Order) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, insertOrder, o.ID, o.Total)
	if err == nil {
		err = placed.Insert(ctx, conn, o.ID, o)
	}
	end := "COMMIT"
	if err != nil {
		end = "ROLLBACK"
	}
	// The connection goes back to the pool, and may not take a transaction along:
	// it is ended also when ctx has been.
	_, errEnd := conn.ExecContext(context.WithoutCancel(ctx), end)
	return errors.Join(err, errEnd)
}

// Announce inserts an event that belongs to no change, through the pool: it is a
// transaction of its own.
func Announce(ctx context.Context, db *sql.DB, placed *shop.Placed, o shop.Order) error {
	return placed.Insert(ctx, db, o.ID, o)
}

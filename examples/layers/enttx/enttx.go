// Package enttx inserts events with entgo.io/ent, whose transactions have no
// ExecContext unless they are asked for one. There are two ways.
//
// With the feature sql/execquery the generated *ent.Tx has it: [Place]. Write it
// into generate.go:
//
//	//go:generate go run -mod=mod entgo.io/ent/cmd/ent generate --feature sql/execquery ./schema
//
// Without it, begin the transaction yourself and make a client of it: [PlaceOver].
// That is also the way where other code than ent's takes part in a transaction.
package enttx

import (
	"context"
	"database/sql"
	"errors"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/binjet/binjet/examples/layers/enttx/ent"
	"github.com/binjet/binjet/examples/layers/shop"
	"github.com/binjet/binjet/producer"
)

// Place places an order in a transaction of ent's.
func Place(ctx context.Context, client *ent.Client, placed *shop.Placed, o shop.Order) error {
	tx, err := client.Tx(ctx)
	if err != nil {
		return err
	}
	err = tx.Order.Create().SetID(o.ID).SetTotal(o.Total).Exec(ctx)
	if err == nil {
		err = placed.Insert(ctx, tx, o.ID, o)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// PlaceOver places an order by a client over a *sql.Tx.
func PlaceOver(ctx context.Context, db *sql.DB, placed *shop.Placed, o shop.Order) error {
	return producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
		if err := Over(tx).Order.Create().SetID(o.ID).SetTotal(o.Total).Exec(ctx); err != nil {
			return err
		}
		return placed.Insert(ctx, tx, o.ID, o)
	})
}

// Over makes a client of a transaction that somebody else began, and ends.
func Over(tx *sql.Tx) *ent.Client {
	driver := entsql.NewDriver(dialect.MySQL, entsql.Conn{ExecQuerier: tx})
	return ent.NewClient(ent.Driver(joined{driver}))
}

// joined is a driver that is in a transaction: where ent wants one, as for a Create
// with edges, it is that one.
type joined struct{ dialect.Driver }

// Tx implements [dialect.Driver].
func (d joined) Tx(context.Context) (dialect.Tx, error) { return dialect.NopTx(d.Driver), nil }

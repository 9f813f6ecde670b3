// Package buntx inserts events with github.com/uptrace/bun.
package buntx

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/binjet/binjet/examples/layers/shop"
)

type order struct {
	bun.BaseModel `bun:"table:orders"`
	ID            string `bun:",pk"`
	Total         int
}

// Place places an order. bun writes values into the statement's text. Where that is
// not wanted, for large payloads or because statements are logged, tx.Tx is the
// *sql.Tx below, which sends them beside it.
func Place(ctx context.Context, db *bun.DB, placed *shop.Placed, o shop.Order) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&order{ID: o.ID, Total: o.Total}).Exec(ctx); err != nil {
			return err
		}
		return placed.Insert(ctx, tx, o.ID, o)
	})
}

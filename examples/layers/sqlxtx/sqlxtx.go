// Package sqlxtx inserts events with github.com/jmoiron/sqlx.
package sqlxtx

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/binjet/binjet/examples/layers/shop"
)

// Place places an order: a *sqlx.Tx is a transaction like any other.
func Place(ctx context.Context, db *sqlx.DB, placed *shop.Placed, o shop.Order) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing is left to roll back after Commit
	if _, err := tx.NamedExecContext(ctx, "INSERT INTO orders (id, total) VALUES (:id, :total)", o); err != nil {
		return err
	}
	if err := placed.Insert(ctx, tx, o.ID, o); err != nil {
		return err
	}
	return tx.Commit()
}

// Package gormtx inserts events with gorm.io/gorm. What gorm calls a transaction
// has the real one in tx.Statement.ConnPool, with PrepareStmt and without.
package gormtx

import (
	"context"

	"gorm.io/gorm"

	"github.com/binjet/binjet/examples/layers/shop"
)

// Place places an order.
func Place(ctx context.Context, db *gorm.DB, placed *shop.Placed, o shop.Order) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Table("orders").Create(&o).Error; err != nil {
			return err
		}
		return placed.Insert(ctx, tx.Statement.ConnPool, o.ID, o)
	})
}

// Order is a model that tells of itself, wherever it is created. The event is in
// gorm's transaction, also in the one that gorm begins by itself for a Create
// outside of one; with SkipDefaultTransaction there is none.
type Order struct {
	ID     string `gorm:"primaryKey;size:64"`
	Total  int
	Placed *shop.Placed `gorm:"-"`
}

// AfterCreate is one of gorm's hooks.
func (o *Order) AfterCreate(tx *gorm.DB) error {
	return o.Placed.Insert(tx.Statement.Context, tx.Statement.ConnPool, o.ID, shop.Order{ID: o.ID, Total: o.Total})
}

// Package shop is what the examples of all data layers have in common: a table of
// orders, and the event that one was placed.
package shop

import (
	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/codec"
)

// Schema creates the table.
const Schema = `CREATE TABLE IF NOT EXISTS orders (
  id    VARCHAR(64) NOT NULL PRIMARY KEY,
  total INT         NOT NULL
) ENGINE=InnoDB`

// Order is a row, and the event's payload.
type Order struct {
	ID    string `json:"id" db:"id"`
	Total int    `json:"total" db:"total"`
}

// Placed inserts the event that an order was placed.
type Placed = producer.Typed[Order]

// NewPlaced makes it, for the outbox table of the default name.
func NewPlaced() (*Placed, error) {
	outbox, err := producer.New(producer.Config{Headers: binjet.Headers{"service": {"shop"}}})
	if err != nil {
		return nil, err
	}
	return producer.NewTyped[Order](outbox, "orders.placed", codec.JSON{})
}

package producerotel_test

import (
	"context"
	"database/sql"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/producerotel"
)

// A service whose events carry their trace. It compiles and is not run: it needs a database.
func Example() {
	run := func(ctx context.Context, db *sql.DB) error {
		cfg := producer.Config{}
		producerotel.Instrument(&cfg, producerotel.Options{}) // the global TracerProvider
		out, err := producer.New(cfg)
		if err != nil {
			return err
		}
		return producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
			return out.Insert(ctx, tx, &binjet.Message{Topic: "orders.created", Key: "4711", Payload: []byte("{}")})
		})
	}
	_ = run
}

// Package producertest tests what a service inserts into its outbox.
//
// With a real database, in the transaction, before anything is committed:
//
//	producertest.RequireInserted(t, tx,
//		producertest.Topic("orders.paid"), producertest.Key("4711"),
//		producertest.Value(codec.JSON{}, Paid{Total: 12}))
//
// The test then rolls back, and leaves nothing behind.
//
// Without any server, [NewDB] stands for the database. It keeps what is inserted,
// honours COMMIT, ROLLBACK and savepoints, and [DB.Relay] hands what was committed
// to a handler:
//
//	db := producertest.NewDB(t)
//	shop := NewShop(db.DB, outbox)
//	shop.Pay(ctx, "4711")
//	err := db.Relay(ctx, func(ctx context.Context, m binjet.Message) error { … })
package producertest

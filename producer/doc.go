// Package producer inserts events into the outbox table, in the transaction
// that changes the service's own tables.
//
//	err := producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
//		if _, err := tx.ExecContext(ctx, "UPDATE orders SET paid = 1 WHERE id = ?", id); err != nil {
//			return err
//		}
//		return outbox.Insert(ctx, tx, &binjet.Message{Topic: "orders.paid", Key: id, Payload: body})
//	})
//
// # Why a table
//
// A service that writes to its database and then publishes to a broker loses the
// event when it dies in between, and one that publishes first announces what may
// never happen. A row of the same transaction has neither fault: it is committed
// with the change or not at all. What reads the binlog afterwards (`binjet run`)
// is somebody else's business; this package knows no broker and never waits for one.
//
// # What it asks of the caller
//
// Anything with ExecContext ([Execer]): *sql.Tx, *sql.Conn and *sql.DB, those of
// sqlx and bun, ent's with its sql/execquery feature, and with gorm
// tx.Statement.ConnPool. [Producer.Insert] never
// begins, commits or rolls back; only [InTx] does, and that is all it does.
//
// # Faults show at insert
//
// A message that the broker would refuse is an incident once it is committed: it
// would stop the relay or end in a dead letter. So topic, key, headers, sizes and
// times are checked here, where an error still rolls the whole transaction back.
//
// # Round trips
//
// An insert is one statement, whatever the number of messages, up to the limits
// in [Config]. With go-sql-driver/mysql a statement with placeholders costs two
// round trips (prepare and execute), or one with interpolateParams=true in the
// DSN, which is worth having for services that insert one message at a time.
// Prepared statements kept by the caller's library (gorm's PrepareStmt) are one
// for each number of messages that is used.
//
// # Connections
//
// The character set of the connection must be utf8mb4, which is go-sql-driver's
// default. With charset=latin1 in the DSN the server stores keys beyond ASCII garbled,
// and says nothing. That of the database doesn't matter: the outbox table names its own.
package producer

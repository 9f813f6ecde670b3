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
// Anything with ExecContext ([Execer]). [Producer.Insert] never begins, commits or
// rolls back; only [InTx] does, and that is all it does.
//
//	database/sql   *sql.Tx, *sql.Conn, *sql.DB
//	sqlx           *sqlx.Tx
//	gorm           tx.Statement.ConnPool, with PrepareStmt and without
//	bun            bun.Tx
//	ent            *ent.Tx, with the feature sql/execquery
//
// examples/layers has each of them, and what ent offers without that feature.
//
// # Messages
//
// [Typed] binds a type to a topic and a codec of producer/codec, which writes the
// Content-Type. [Config] has what all messages of a service share: headers, the
// trace context, and [Middleware] for the rest; producer/cloudevents makes
// CloudEvents of them. ExpireAfter and DeliverAt of a message, or [WithExpireAfter]
// and [WithDeliverAt], are kept by the broker and by the consumer's SDK.
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
// round trips (prepare and execute), or one with interpolateParams=true in the DSN
// or with [Producer.Prepare]. Either is worth having for services that insert one
// message at a time. bun writes the values into the statement itself; gorm's
// PrepareStmt keeps one statement for each number of messages that is used.
//
// An insert of one message makes 8 allocations, most of them for putting values
// into interfaces; one of many 2 or 3 for each message.
//
// # What becomes of the rows
//
// They stay, unless [Config].Retain says that an insert also deletes them, in the
// same transaction: the event is in the binlog all the same. What that costs and
// what then can't be done is at [DeleteInTransaction]. Kept rows are pruned by
// `binjet run` (retention.keep) or `binjet prune`, or by dropping partitions.
//
// # Connections
//
// The character set of the connection must be utf8mb4, which is go-sql-driver's
// default. With charset=latin1 in the DSN the server stores keys beyond ASCII garbled,
// and says nothing. That of the database doesn't matter: the outbox table names its own.
package producer

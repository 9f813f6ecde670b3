// Package consumer hands the events of an outbox stream to handlers, each
// event's effects once.
//
//	c, err := consumer.New(js, consumer.Config{Name: "billing"})
//	c.HandleTx("orders.created", db, func(ctx context.Context, tx *sql.Tx, m *consumer.Message) error {
//		_, err := tx.ExecContext(ctx, "INSERT INTO invoices …")
//		return err
//	})
//	err = c.Run(ctx)
//
// # What is promised
//
// A broker delivers at least once: an acknowledgement can be lost, a process can
// die before it sends one. What happens then depends on where effects go.
//
//   - HandleTx: the effects are in a SQL database. The message's ID is inserted
//     into an inbox table in the same transaction, first thing. Effects and mark
//     commit together, so they happen exactly once per message ID, whatever is
//     redelivered and whoever is killed when. A second copy at the same time
//     waits at that INSERT until the first has committed (then it is a
//     duplicate) or rolled back (then it goes on).
//   - Handle: the effects are anything else. They happen at least once. Copies
//     are suppressed by an [inbox.Inbox], in memory by default, where a message
//     is marked done only after its handler has succeeded.
//
// HandleBatchTx and HandleBatch are the same for many messages at once, in one
// transaction and one call. Each message is settled by itself all the same: what
// was handled before is not handed to the handler, and a batch that fails as a
// whole is parted until the one that is to blame is alone.
//
// # The life of a message
//
//	pulled ─▶ buffered ─▶ claimed ─▶ handler ─▶ commit/done ─▶ acknowledged
//	             │           │          │
//	             │           │          ├─ error, panic ─▶ delayed, comes back ─▶ … ─▶ dead letter
//	             │           │          └─ Discard, undecodable ────────────────────▶ dead letter
//	             │           └─ known ─▶ acknowledged, not run
//	             ├─ past its ExpireAfter ─▶ acknowledged, not run
//	             └─ Outbox-Deliver-At in the future, Run ended ─▶ delayed, comes back
//
// Every held message, buffered or running, is reported to the broker as in
// progress three times per AckWait. AckWait therefore only says how fast the death of a
// process is noticed, never how long a handler may take.
//
// # Payloads
//
// A [Handler] gets bytes. [Typed], and its like for the other kinds of handlers, decode
// them by Content-Type with codecs that producers use too (producer/codec). What
// can't be decoded becomes a dead letter at once, since no retry would help.
//
// # Order
//
// With Concurrency 1, the default, and one process, messages are handled in
// commit order, until one fails: it is overtaken while it waits for its retry.
//
// With Ordered: [ByKey], keys run in parallel and each key in stream order, in one
// process or many, also over retries, restarts, kills and moves to other
// processes. Only the key of a message that is retried waits. Such a consumer has no
// durable consumer on the broker: what is finished stands in the bucket
// binjet-consumers. docs/consumer-order.md says how, and what it costs. What is said
// below of acknowledgements, deliveries and AckWait is about unordered ones.
// A batch is what comes in a row for one handler, so this holds for batches too.
//
// # Errors, attempts and dead letters
//
// A handler's error or panic rolls back and retries after [Backoff]; [RetryAfter]
// chooses the wait; [Discard] gives up at once. The broker's own limit of
// deliveries is never used, because at it the broker stops delivering without a
// word. Instead, at Config.MaxDeliver attempts the message is stored in the
// stream <STREAM>_DLQ, on dlq.<STREAM>.<Name>.<topic>, with the reason in its
// Outbox-Dead-* headers, and only when that is acknowledged is the original
// terminated. While no dead letter can be written, the message is retried.
//
// While the inbox itself can't be asked (its database is down, its table is
// missing) a message waits where it is and no attempt is counted: the consumer
// pauses with an error in the log, and dead letters do not pile up.
//
// An outage of what handlers need is told from bad messages by the others: failures
// in a row of more than one message, and no success, slow the consumer down and then
// open its breaker ([BreakerConfig]). While it is open messages wait, alive on the
// broker; one at a time is tried, without an attempt being counted, and the first
// success closes it. Nor does a last attempt make a dead letter when others fail
// too and nothing was handled since the attempt before. A message that is the only
// one to fail has no such witnesses: it is given up at MaxDeliver even in an outage.
// There is one breaker per Consumer, so handlers that depend on different things
// are better kept in consumers of different names.
//
// The broker counts deliveries, not attempts. Deliveries that did not run the
// handler are subtracted: what is handed back unhandled at the end of Run, or was
// cut short by it, is written to the bucket binjet-consumers before, for a week, so
// that the other processes of the name know. Where that can't be written, and
// when a process is killed, a delivery counts. A message far above the limit
// without any result kills whoever handles it, and becomes a dead letter unrun.
//
// # Replay
//
// [DeadLetters] lists dead letters and puts them back for the consumer that gave
// them up, and for no other. A replay is stored, on a subject of the dead-letter
// stream that only that consumer reads, before the dead letter is removed. Done
// twice or cut in the middle it runs once: the broker knows the second copy for a
// day, and it has the message's own ID, which the inbox knows after that. It
// begins at attempt 1, does not expire, and becomes a dead letter again when it
// fails again. It runs behind everything that was handled meanwhile, also of its
// key, and with Ordered: ByKey it may run beside another message of its key.
//
// The same dead letter is written once when its process dies before it has
// terminated the message, and the next one takes less than a day. After that there
// are two of one origin, and a replay of both is a duplicate for the inbox.
//
// A message waiting for its retry or its time stays within
// Config.MaxAckPending. Many of them stop the consumer until some are due.
//
// # What to know
//
// A handler can run before the row that caused it can be read: with semi-sync
// replication (rpl_semi_sync_source_wait_point=AFTER_SYNC) a transaction is in the
// binlog, and so on the stream, a moment before a SELECT on the source sees it.
// Replicas lag behind too. Carry in the event what the handler needs, or return
// [RetryAfter] when the row is not there yet.
//
// All processes that share a Name need the same topics: the durable consumer's
// filter is set by the one that started last. A message that a process has no
// handler for is handed back with the longest backoff and an error is logged,
// since another process may know it. Config.UnknownTopic says otherwise, and
// Config.UnknownType what becomes of a payload that no codec of its typed handler knows.
//
// Adding a topic to an existing consumer delivers its messages from now on, not
// those that the consumer has already passed; a warning says so.
package consumer

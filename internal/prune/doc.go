// Package prune deletes rows of the outbox tables that are old enough and safely
// in the stream.
//
// # When a row may go
//
// Events are published from the binlog, so a row that is gone is no lost event by
// itself. But rows are what a snapshot publishes, what mends purged binlogs (a
// rescan), and what verification compares. So a row goes only once its transaction
// is in the position of the checkpoint that the stream holds at that moment; that
// checkpoint was stored in one atomic batch with the events up to it.
//
// Its age says nothing of that: created_at is written by hosts whose clocks differ,
// and a transaction may commit long after its rows were written, by XA even days
// later. So age only selects, and the proof is one of order:
//
//  1. Select old rows, by a read that sees only what is committed in the engine.
//  2. Then ask the server, in the same session, what its binlog holds: the [Horizon].
//  3. Wait until the stream's checkpoint covers all of the horizon.
//  4. Delete exactly the rows of step 1, by their IDs, and before each small batch
//     read the checkpoint again: a stream that lost its tail meanwhile has an older one.
//
// A server writes a transaction to its binlog before it commits it in the engine, so
// what step 1 sees, step 2 holds. In detail:
//
//   - MySQL: a GTID is owned from before its group is written to the binlog until
//     after the engine's commit, and only then executed. In between, its rows can be
//     seen. So the horizon is gtid_owned, read first, and gtid_executed, read second: a
//     GTID that moves over between the two reads is in one of them. What others own is
//     asked for as well, which can only delay.
//   - MariaDB: the number of a transaction is in gtid_binlog_pos once its group is
//     written, before the engine's commit. A position there is one number for each
//     domain, and numbers may go back where servers write one domain together. So a
//     domain is covered by exactly its last GTID, or by a number above every one that
//     any server has written in it (gtid_binlog_state). One server's own numbers
//     grow; who sets gtid_seq_no back by hand breaks that.
//   - MySQL without GTIDs: the end of the binlog, file and offset, of the same server.
//   - XA: rows can be seen after XA COMMIT only, whose own group is in the binlog before
//     that, and the relay publishes them with that group. So it is no exception.
//
// While a snapshot or a rescan is unfinished nothing is deleted: it is of the rows that
// are there. A gap is no exception either, since what is purged is part of the horizon and
// not of the position.
//
// A server that lost its newest transactions in a crash gives their numbers to others,
// which a position then seems to cover. So each round opens a session, and only then
// lets the reader compare the position with the server, down to the content of the last
// transactions (Verify). A horizon that is less than the one before it in the session
// ends the round: the binlogs were reset. A lost session ends it, too.
//
// A selected ID that was deleted and inserted again meanwhile is another transaction;
// the DELETE repeats the condition on the age for that.
//
// A partition of a day that is old enough goes as a whole: it is exchanged with an
// empty table, which nobody can write to, and that table is dropped once the stream
// covers the horizon behind the exchange.
//
// # What a position can't tell
//
// It says that everything up to there was read and what had to be was published. Rows that
// were to be left out lie behind it as well: those before source.start=latest or a
// GTID set, those of a table that was added to source.tables later, those of
// --accept-loss, and what was written with sql_log_bin=0, which no binlog shows. They
// go when they are old enough. Rows that could not be published lie in the dead-letter
// stream, as they were. Another source of its own name that reads the same tables has
// another checkpoint, which is not looked at.
//
// # Nobody waits
//
// Rows are looked for by reads without locks, in the order of the ID, in pages. A
// DELETE names at most a batch of IDs, in READ COMMITTED, and looks each up by the unique
// index, through a join that leaves the planner no choice: so it locks these rows and no
// gap, and what is being inserted is neither read nor waited for. It waits a second at most
// for whoever has locked an old row. Between batches there is a pause. Statements that change
// partitions have to wait for open transactions, and others behind them: a second at most,
// then they give way.
//
// Any number of pruners may run; more than one is only a waste. A pruner that dies
// leaves nothing behind.
package prune

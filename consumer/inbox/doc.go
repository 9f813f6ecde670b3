// Package inbox remembers which messages a consumer has handled, so that a
// message delivered twice has its effects once.
//
// There are two kinds, because there are two kinds of effects.
//
// A [Tx] inbox is for effects in a SQL database. Its row is inserted first thing
// in the handler's own transaction, so "handled" and the effects commit or
// vanish together: the effects happen exactly once per message ID, whatever is
// redelivered and whoever is killed when. [SQL] is one, for MySQL, MariaDB,
// PostgreSQL and SQLite, and a [BatchTx], for many messages in one statement.
//
// An [Inbox] is for every other effect. Nothing can make a mail or an HTTP call
// atomic with a mark, so it only says: claim the ID, run the handler, mark it
// done, or release the claim. A message is never marked done before its handler
// has succeeded: a crash in between delivers it again, never loses it. [Memory]
// is one for a single process, [KV] one for all processes of a consumer.
//
// # How a copy is refused
//
//	first copy   BEGIN  INSERT mark ─ effects ─ COMMIT
//	second copy         BEGIN  INSERT mark ···waits···  known: rolled back, acknowledged
//
// When the first copy rolls back instead, the second one goes on. Where several
// had waited, a database may let one go on and give the others up ([ErrConflict]);
// they are claimed again in new transactions. The claim has to be the first
// statement of its transaction, which is what the consumer does.
//
// # What the databases need
//
// MySQL and MariaDB ([MySQL]; 8.0.13, 10.6 or newer):
//   - InnoDB. SQL.Validate finds a table that became MyISAM.
//   - Any isolation level, and any flags of the DSN. Marks are read with LOCK IN
//     SHARE MODE, so neither an old snapshot nor READ UNCOMMITTED deceives them.
//   - MariaDB with innodb_snapshot_isolation=ON (the default of 11.8, there since
//     10.6) answers with error 1020 when a claim meets a mark that is newer than the
//     transaction's snapshot: at REPEATABLE READ where something was read before the
//     claim, at SERIALIZABLE also after a wait. A single claim asks then whether the
//     mark is there; a batch fails with [ErrConflict].
//   - When a first copy rolls back, InnoDB makes all waiting copies but one victims
//     of a deadlock (1213). That is seen in the server's status and means nothing.
//   - Cleaning up runs at READ COMMITTED, which the server refuses with
//     binlog_format=STATEMENT.
//
// PostgreSQL (12 or newer):
//   - Any isolation level. At READ COMMITTED, the default, a copy waits and then
//     finds the message done. At REPEATABLE READ and SERIALIZABLE it waits and then
//     fails with 40001, an [ErrConflict]; the next claim finds it done. At
//     SERIALIZABLE a commit may fail like that too: then the message is retried,
//     which counts as an attempt.
//   - The table has to be a logged one; its name is taken as it is written, in
//     quotes, so "Inbox" is not inbox.
//
// SQLite (3.35 or newer):
//   - One transaction writes at a time, so claims of different messages wait for
//     each other as well. Give the DSN a busy timeout, longer than the slowest
//     handler; without one a claim fails at once with [ErrConflict]. With
//     modernc.org/sqlite: "file:x.db?_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)";
//     with mattn/go-sqlite3: "file:x.db?_busy_timeout=30000&_journal_mode=WAL".
//   - Do not read in a transaction before the claim: one that has read can't wait
//     for a writer, and fails. "&_txlock=immediate" avoids that too.
//
// Claiming needs the rights INSERT and SELECT on the table, cleaning up DELETE.
//
// # How long marks are kept
//
// For ever, unless a Retention is set. A message whose mark is gone is handled again
// when it comes again, so a mark has to outlive every delivery: redeliveries and
// replays, which end with the age that the stream lets messages reach, and what an
// operator brings back, from a restored stream for instance. The consumer compares
// both at its start and refuses an inbox that forgets too early; see
// consumer.Config.ReplayHorizon. What it can't see is a process that is frozen with
// a message for longer than the hour that is added.
//
// [SQL] deletes old marks while the consumer runs, in small transactions by primary
// key that make no claim wait; see [SQL.Prune]. [KV] leaves it to its bucket's time to
// live. [Memory] is bounded by a count and promises no time, and nothing over a restart.
//
// # Stores of your own
//
// Package inboxtest has the suites that these pass.
package inbox

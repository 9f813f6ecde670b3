// Command bench-tables measures what an outbox row costs the transaction that writes
// it, by what becomes of the row: docs/tables.md has the numbers.
//
// Redo log and binlog are counted in bytes, which no load of the machine changes.
// Times are taken in turns, a short one for each kind again and again, so that what else
// the machine does meets all of them alike: compare them with each other only.
package main

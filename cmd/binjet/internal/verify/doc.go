// Package verify compares the rows of outbox tables with the events of the stream.
//
// # How
//
// It reads the stream's headers up to a checkpoint, and the tables, and looks for
// IDs that are in one of them only. Memory is bounded: with many events only those
// are compared in one pass whose IDs hash to it, and the next pass takes the next.
// The order of IDs does not matter, whatever the collation of their column.
//
// Nothing stands still meanwhile. A row that the stream lacks is therefore looked at
// again: the stream is read on to a later checkpoint, and where the relay is behind,
// the binlog tells which rows it has still to publish. Only what is left is missing.
//
// # What can't be known
//
// An event whose row is gone says nothing where rows are pruned: only one that is
// younger than the oldest row is a finding. A row without an event says nothing
// where the stream's limits may have let the event go, or where it has expired.
// These are counted by themselves.
//
// The order is that of the transactions' numbers, which each server gives in the
// order of its binlog, and of the events in a transaction.
package verify

// Package outboxtable knows the partitions of an outbox table that is
// partitioned by day: their names, and the statements that make the table, add
// days and drop them. It is shared by what creates the table and what keeps it
// small, so that both mean the same by a day.
//
// A day is one of UTC. Its partition p20260131 holds the rows of that day, and
// of every earlier day that has no partition of its own: RANGE partitions have an
// upper bound only. The last one, [CatchAll], has no bound, so that an insert
// never fails because nobody added a day; rows of the days to come wait in it.
//
// Bounds are written as numbers, seconds since 1970, and never as a date: what a
// date means in UNIX_TIMESTAMP depends on the session's time zone.
//
// Everything here is pure but [Load].
package outboxtable

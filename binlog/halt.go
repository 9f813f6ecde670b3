package binlog

import (
	"fmt"
	"strings"

	"github.com/binjet/binjet/checkpoint"
)

// RowError is a row that can't be published as it is. Where its table is to
// blame it is the cause of a *checkpoint.HaltError, through errors.As; else the
// row is yielded as [checkpoint.Invalid], for the relay to decide.
type RowError struct {
	Table string          // schema.name
	GTID  checkpoint.GTID // its transaction; zero for a row of a snapshot
	Row   int             // ordinal among the transaction's outbox rows, from 1
	ID    string          // "" when it could not be read
	// Problem is what is wrong; Hint how to mend it.
	Problem, Hint string

	table   bool   // the table is to blame: all of its rows are like that
	headers []byte // the headers column, where it can't be read
}

// invalid marks the message at index of a transaction.
func (e *RowError) invalid(index int) checkpoint.Invalid {
	return checkpoint.Invalid{Index: index, Reason: e.Error() + ". " + e.Hint, Headers: e.headers}
}

// size is what it counts against the limit beside its message.
func (e *RowError) size() int {
	if e == nil {
		return 0
	}
	return len(e.headers)
}

func (e *RowError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s", e.Table)
	if !e.GTID.IsZero() {
		fmt.Fprintf(&b, ", transaction %s, row %d", e.GTID, e.Row)
	}
	if e.ID != "" {
		fmt.Fprintf(&b, ", ID %q", e.ID)
	}
	return b.String() + ": " + e.Problem
}

// ErrStatementFormat is what a write to an outbox table in statement format is,
// through errors.Is: the binlog holds the statement and no rows.
var ErrStatementFormat = constError("an outbox table was written in statement format, so the binlog holds no rows of it")

// ErrUpdate is what an UPDATE of an outbox row is, through errors.Is.
var ErrUpdate = constError("an outbox row was updated")

// ErrXA is what an XA transaction that can't be published is, through errors.Is.
var ErrXA = constError("the outbox rows of an XA transaction can't be read")

// ErrPurged is what a position is that the server can't continue from because
// it deleted the logs behind it, through errors.Is.
var ErrPurged = constError("the binlogs that hold the next transactions are purged")

// ErrForeign is what a position is that does not belong to the history of the
// server, through errors.Is.
var ErrForeign = constError("the checkpoint does not belong to this server's history")

// ErrGTIDMode is a server whose gtid_mode does not let it send what follows a
// position, through errors.Is.
var ErrGTIDMode = constError("the server's gtid_mode does not fit the position")

// ErrRewritten is what a published transaction is that the server has under its
// number with other content, through errors.Is.
var ErrRewritten = constError("the server's history was rewritten behind the checkpoint")

type constError string

func (e constError) Error() string { return string(e) }

func halt(cause error, hint, format string, args ...any) *checkpoint.HaltError {
	return &checkpoint.HaltError{Problem: fmt.Sprintf(format, args...), Hint: hint, Cause: cause}
}

const (
	// What an operator can do to leave something behind: to set the position by the command, or,
	// with this package alone, to take a new source, which has a checkpoint of its own and
	// begins where it is told to.
	goOnBehind  = "go on behind it: binjet position set, with a GTID set that includes it (without GTIDs: the file:offset behind it), or a new source.name with that as source.start"
	goOnFrom    = "go on: binjet position set, with latest or a GTID set that this server has (without GTIDs: a file:offset), or a new source.name with that as source.start"
	goOnWithout = "go on: binjet position set, with a GTID set that includes what is missing, or a new source.name with that as source.start"
	startAnew   = "begin anew under a new source.name"

	hintRewritten = "The server's binlog lost transactions that were published, and it gave their numbers to others: it crashed with sync_binlog " +
		"other than 1, or was reset or restored. If it is the wrong server, correct its address. Else " +
		"compare the outbox tables with the stream by Outbox-Id, publish by hand what is missing, and " + goOnFrom
	hintRowFormat = "Set binlog_format=ROW globally, find the session that sets another one " +
		"(SHOW SESSION VARIABLES LIKE 'binlog_format' in the service), publish the rows of this transaction by hand " +
		"and " + goOnBehind
	hintUpdate = "REPLACE and INSERT … ON DUPLICATE KEY UPDATE on an ID that exists are logged as an UPDATE. " +
		"Outbox rows must be inserted once and never changed: find the statement, insert the event under a new ID, " +
		"and " + goOnBehind + ". Only if rows are marked on purpose after they were inserted, set source.on_update to ignore"
	hintMetadata = "SET GLOBAL binlog_row_metadata=FULL (and in the server's configuration), reconnect the services that write, " +
		"publish the rows of this transaction by hand, and " + goOnBehind
	hintIncident = "The server's error log says what it could not write. Compare the outbox tables with the stream, publish by hand what is missing, and " + goOnBehind
	// In MariaDB it has no number, and is sent to everybody who begins in the same file, also behind it.
	hintIncidentApart = "The server's error log says what it could not write. Stop the writers of the outbox tables, compare the tables with the stream, " +
		"publish by hand what is missing, run FLUSH BINARY LOGS, and go on under a new source.name, with source.start set to the GTID set " +
		"that the server has then (@@gtid_executed, or @@gtid_binlog_pos in MariaDB)"
	hintColumns = "A row keeps the column names of the moment it was written. Map those that this one had (source.columns) and start again: " +
		"reading goes on here, and halts again where the names change again"
	hintImage = "SET GLOBAL binlog_row_image=FULL (and in the server's configuration), and reconnect the services that write"
)

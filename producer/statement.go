package producer

import (
	"strings"

	"github.com/binjet/binjet"
)

const (
	columns = 5
	// maxRows is what 65,535 placeholders, the most that the protocol can number, allow.
	maxRows = 65535 / columns
	// readyRows is up to how many rows a statement's text needs no allocation.
	readyRows = 128
	// rowOverhead is what a row costs beside its values, in either protocol, rounded up.
	rowOverhead = 64

	rowText = ",(?,?,?,?,?)"
)

// statement is the text of the insert. Its texts for n rows are prefixes of each
// other, so the text for readyRows holds all shorter ones.
type statement struct {
	head  int // length up to and without the comma before the first row
	ready string
}

func newStatement(quotedTable string) statement {
	head := "INSERT INTO " + quotedTable + " (" + strings.Join([]string{
		binjet.ColumnID, binjet.ColumnTopic, binjet.ColumnKey, binjet.ColumnHeaders, binjet.ColumnPayload,
	}, ", ") + ") VALUES "
	return statement{head: len(head), ready: head + strings.Repeat(rowText, readyRows)[1:]}
}

func (s statement) text(rows int) string {
	if rows <= readyRows {
		return s.ready[:s.head+rows*len(rowText)-1]
	}
	return s.ready + strings.Repeat(rowText, rows-readyRows)
}

// split returns how many rows at the front of args go into the next statement:
// as many as the limits allow, and at least one.
func split(args []any, maxBytes int) int {
	size := 0
	rows := min(len(args)/columns, maxRows)
	for i := range rows {
		size += rowSize(args[i*columns : (i+1)*columns])
		if size > maxBytes && i > 0 {
			return i
		}
	}
	return rows
}

func rowSize(args []any) int {
	n := rowOverhead
	for _, arg := range args {
		switch v := arg.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
	}
	return n
}

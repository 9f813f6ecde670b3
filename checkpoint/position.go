package checkpoint

import (
	"time"

	"github.com/binjet/binjet"
)

// Position is how far a source has been published, and where to read on.
type Position struct {
	Flavor Flavor `json:"flavor"`
	// ServerUUID is the server that was read last; "" where it has none (MariaDB).
	ServerUUID string `json:"server_uuid,omitempty"`
	// Resume is the GTID set to dump from: it holds only transactions that are
	// wholly published, or that had nothing to publish.
	Resume GTIDSet `json:"resume"`
	// Binlog takes the place of Resume, which is empty then, where MySQL is read
	// without GTIDs: everything before it is what Resume would hold.
	Binlog FilePosition `json:"binlog,omitzero"`
	// Partial is set while a transaction larger than a batch is being published.
	Partial *Partial `json:"partial,omitempty"`
	// Snapshot is set until the rows that lay in the tables at the start are published.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	// Last is the last transaction that was published, to be verified on resume.
	Last *Last `json:"last,omitempty"`
	// Read is the last transaction in Resume where that is not Last: it had nothing
	// to publish. It is verified too, since numbers behind Last may be reused as well.
	Read *Last `json:"read,omitempty"`
	// XA are the XA transactions that are prepared and undecided, oldest first. Their
	// GTIDs are in Resume, their rows are published when they commit.
	XA []XA `json:"xa,omitempty"`
}

// Partial says how much of a large transaction is published.
type Partial struct {
	GTID GTID `json:"gtid"`
	Rows int  `json:"rows"` // events of it already in the stream
	// Committed is when it was committed: a transaction that has its number and not
	// its time is another one. Zero in records of before.
	Committed time.Time `json:"committed,omitzero"`
}

// Last describes a transaction, so that it can be read again and told from
// another one of the same number.
type Last struct {
	GTID      GTID      `json:"gtid"`
	Committed time.Time `json:"committed"`
	Rows      int       `json:"rows"` // in its group of the binlog: none for an XA COMMIT
	Hash      uint32    `json:"hash"` // CRC-32C over IDs and payloads
	// Before and View are those of [Transaction].
	Before GTID   `json:"before,omitzero"`
	View   uint32 `json:"view,omitempty"`
}

// Snapshot is the progress of publishing the rows that were there at the start.
type Snapshot struct {
	// Done are the tables that are finished, Table the one at work, After the
	// last ID published of it.
	Done  []string `json:"done,omitempty"`
	Table string   `json:"table,omitempty"`
	After string   `json:"after,omitempty"`
	// AfterAt is set where an ID is unique only together with created_at: of the rows
	// whose ID is After, those of that time and before are published. Zero: all of them.
	AfterAt time.Time `json:"after_at,omitzero"`
	// Begun tells a snapshot whose position (Resume) is fixed from one that has yet to start.
	Begun bool `json:"begun,omitempty"`
	// Rows are how many were read so far, Estimate about how many there are in all;
	// 0 when that is not known. They are for people only.
	Rows     uint64 `json:"rows,omitempty"`
	Estimate uint64 `json:"estimate,omitempty"`
	// Rescan is set when the snapshot mends a gap: of its rows, only those that the
	// stream does not hold are published.
	Rescan *Rescan `json:"rescan,omitempty"`
}

// Share is about how much of the snapshot is done, from 0 to 1; false when that is
// not known.
func (s Snapshot) Share() (float64, bool) {
	if s.Estimate == 0 {
		return 0, false
	}
	return min(1, float64(s.Rows)/float64(s.Estimate)), true
}

// Rescan is why a snapshot is taken of a source that was published before.
type Rescan struct {
	// Lost are the transactions that could not be read any more.
	Lost GTIDSet `json:"lost"`
	// Read is when the last transaction before them was committed, by the server's
	// clock; zero when that is not known.
	Read time.Time `json:"read,omitzero"`
	// Stopped is when the last checkpoint before them was written, by the clock of
	// its writer: what was inserted later was not published.
	Stopped time.Time `json:"stopped,omitzero"`
}

// Transaction is what a reader of the binlog yields: a committed transaction, or
// a part of one that is too large to hold, or some rows of a snapshot. One
// without messages moves the position only.
type Transaction struct {
	GTID GTID
	// Binlog is the position behind it where files are read by position. Without a
	// GTID it is all there is: another file begins.
	Binlog    FilePosition
	Committed time.Time
	Messages  []binjet.Message
	// Invalid lists those of Messages that can't be published, by index, ascending.
	Invalid []Invalid
	// Offset is how many messages of this transaction came in earlier parts.
	Offset int
	// More says that further parts of this transaction follow.
	More bool
	// Hash is [Last.Hash] of the whole transaction, set on its last part.
	Hash uint32
	// Before is the one before it in its domain, from which MariaDB can be asked for
	// it again; zero for MySQL, and for the first of a domain.
	Before GTID
	// View stands for the tables and columns that were read: of the same transaction
	// another view may have other rows. 0 says that its rows can't be read again from
	// its own group in the binlog, so that only number and time are compared.
	View uint32

	// Prepared, when set, says that this is an XA PREPARE, whose rows wait for their outcome.
	Prepared *XA
	// Decided is the XID of the XA transaction that this one commits or rolls back.
	Decided string

	// Snapshot, when set, is the progress after these rows; At, or Binlog, is the
	// position the snapshot was taken at. End says that the snapshot is complete.
	Snapshot *Snapshot
	At       GTIDSet
	End      bool
	// ServerUUID is the server it was read from.
	ServerUUID string

	// Lost, when not empty, are transactions that nobody can read any more and that
	// an operator gave up: the position moves past them. Nothing else is set then.
	Lost GTIDSet

	// Restated, when set, is the position in other words: GTIDs in place of a file
	// position. Nothing else is set then.
	Restated *Position
}

// Invalid is an outbox row that can't be published. Its message is what could be
// read of it.
type Invalid struct {
	Index   int    // in Transaction.Messages
	Reason  string // names the table, the row and what is wrong with it
	Headers []byte // the headers column, where it could not be read
}

// Clone returns a copy that shares nothing that [Position.Apply] changes.
func (p Position) Clone() Position {
	p.Resume, p.Last, p.Read = p.Resume.Clone(), p.Last.clone(), p.Read.clone()
	return p
}

func (l *Last) clone() *Last {
	if l == nil {
		return nil
	}
	own := *l
	return &own
}

// Apply moves p past tx. Parts of a transaction only count what is done of it: p
// moves past the transaction with its last part. It changes what the fields of p point
// to: see Clone.
func (p *Position) Apply(tx *Transaction) {
	if tx.Restated != nil {
		*p = tx.Restated.Clone()
		return
	}
	if tx.ServerUUID != "" {
		p.ServerUUID = tx.ServerUUID
	}
	if !tx.Lost.IsEmpty() {
		p.Resume.AddSet(tx.Lost)
		if p.Partial != nil && tx.Lost.Contains(p.Partial.GTID) {
			p.Partial = nil
		}
		return
	}
	if tx.Snapshot != nil {
		if tx.Snapshot.Rescan != nil { // these are of before the gap, and the snapshot is behind it
			p.Partial, p.Last, p.Read, p.XA = nil, nil, nil, nil
		}
		p.Resume, p.Binlog = tx.At.Clone(), tx.Binlog
		p.Snapshot = tx.Snapshot
		if tx.End {
			p.Snapshot = nil
		}
		return
	}
	rows := tx.Offset + len(tx.Messages)
	if tx.More {
		p.Partial = &Partial{GTID: tx.GTID, Rows: rows, Committed: tx.Committed}
		return
	}
	if p.Partial != nil && p.Partial.GTID == tx.GTID { // others may come before its rest, on another server
		p.Partial = nil
	}
	p.Resume.Add(tx.GTID)
	p.applyXA(tx)
	p.passed(tx, rows)
}

// Skip moves p past transactions without rows, the last of which is last.
func (p *Position) Skip(set GTIDSet, last *Transaction) {
	p.Resume.AddSet(set) // none of them is p.Partial, which has events
	if last.ServerUUID != "" {
		p.ServerUUID = last.ServerUUID
	}
	p.passed(last, 0)
}

// passed notes the transaction that p has just moved past.
func (p *Position) passed(tx *Transaction, rows int) {
	if !tx.Binlog.IsZero() {
		p.Binlog = tx.Binlog
	}
	if tx.GTID.IsZero() {
		return
	}
	last := Last{GTID: tx.GTID, Committed: tx.Committed, Rows: rows, Hash: tx.Hash, Before: tx.Before, View: tx.View}
	if tx.Decided != "" {
		last.Rows, last.Hash = 0, 0
	}
	at := &p.Read
	if rows > 0 {
		at, p.Read = &p.Last, nil
	}
	if *at == nil { // else its memory is used again, once for each transaction
		*at = new(Last)
	}
	**at = last
}

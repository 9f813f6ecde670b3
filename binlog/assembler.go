package binlog

import (
	"fmt"
	"hash/crc32"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/slab"
)

// group is a whole transaction, at the end of its group in the binlog.
type group struct {
	gtid      checkpoint.GTID
	committed time.Time
	messages  []binjet.Message // of outbox tables; nil when plan is set
	invalid   []invalidRow
	rows      int   // how many there are, held or not
	bytes     int   // of those that are held
	plan      *plan // set when it was too large to hold, or was read by plan
	planned   bool  // it was read by plan: its rows were handed out

	end checkpoint.FilePosition // behind it, where files are read by position

	prepared *prepared // set when it is an XA PREPARE; it has no rows then
	decided  string    // XID that it commits or rolls back
	commits  bool      // and which of both
}

// plan is what is remembered of a group that is too large to hold.
type plan struct {
	gtid    checkpoint.GTID
	dropped []span // rows that savepoints rolled back
	rows    int    // rows that survived
}

// assembler makes groups of events. It is pure: it does nothing but call back.
// One assembler reads one connection.
type assembler struct {
	tables *tableSet
	decode *decoder
	limit  int // bytes held of one group
	// at, where files are read by position, gives groups their names.
	at *cursor

	// second is the plan of the group that is read again; part takes its rows.
	second *plan
	part   func(binjet.Message, *RowError, time.Time) error
	// seen, when set, gets the ID and created_at of each row that a committed group
	// inserts or deletes, in place of the messages.
	seen func(t table, id string, at time.Time, deleted bool)
	// updated is told of updates that are passed over.
	updated func(t table, id string)
	// rowless, when set, is told of statements that insert no rows.
	rowless func(schema, query string)
	// foreign is told of statements that write in statement format elsewhere.
	foreign func(query string)
	// abandoned is told of a group that the server did not finish.
	abandoned func(g checkpoint.GTID)

	state   groupState
	gtid    checkpoint.GTID
	opened  time.Time
	xid     string
	saves   savepoints
	next    int   // ordinal of the next outbox row
	rows    []row // held rows
	bytes   int
	over    bool // more than limit: rows are not held
	dropped []span
	fault   *groupFault
	group   group // the last one
	cut     slab.Slab[binjet.Message]
}

type groupState int

const (
	between groupState = iota // no group is open
	opened                    // a GTID was read: one statement, or BEGIN
	begun                     // inside a transaction
)

type row struct {
	ordinal int
	msg     binjet.Message
	invalid *RowError
	bytes   int
	table   *table
	deleted bool
}

// invalidRow is a message of a group, by its index, that can't be published.
type invalidRow struct {
	index int
	fault *RowError
}

// groupFault is why a group can't be published, if what is at ordinal row of it
// survives. Only the first one is kept: a rollback that drops it drops all later.
type groupFault struct {
	row int
	err error
}

// add takes the next event. It returns a group when the event ends one, and a
// *checkpoint.HaltError when the event or its group can't be understood or may
// not be published. A committed group with a fault is never returned. The group, but
// not what it holds, is good until the next one.
func (a *assembler) add(ev *replication.BinlogEvent) (*group, error) {
	switch e := ev.Event.(type) {
	case *replication.GTIDEvent:
		if ev.Header.EventType == replication.ANONYMOUS_GTID_EVENT && a.at == nil {
			return nil, halt(ErrGTIDMode, hintGTIDsOff, "a transaction without GTID is in the binlog: it was committed while gtid_mode was not ON")
		}
		return nil, a.open(a.mysqlName(e), mysqlCommitted(e, ev.Header), false)
	case *replication.GtidTaggedLogEvent:
		return nil, a.open(a.mysqlName(&e.GTIDEvent), mysqlCommitted(&e.GTIDEvent, ev.Header), false)
	case *replication.MariadbGTIDEvent:
		return nil, a.open(mariadbGTID(e), time.Unix(int64(ev.Header.Timestamp), 0).UTC(), !e.IsStandalone())
	case *replication.QueryEvent:
		if a.state == opened && string(e.Query) == "BEGIN" { // nearly every transaction's
			a.state = begun
			return nil, nil
		}
		return a.query(string(e.Schema), string(e.Query))
	case *replication.ExecuteLoadQueryEvent:
		return a.query(loadQuery(ev, e))
	case *replication.XIDEvent:
		return a.commit()
	case *images:
		return nil, a.inserted(e)
	case *replication.RowsEvent:
		return nil, a.rowsEvent(ev.Header.EventType, e)
	case *replication.FormatDescriptionEvent:
		a.abandon()
		return nil, nil
	}
	return a.other(ev)
}

// open begins a group.
func (a *assembler) open(g checkpoint.GTID, at time.Time, isBegun bool) error {
	if a.state != between {
		return halt(nil, "Report this with the output of mysqlbinlog for both transactions",
			"transaction %s begins before %s has ended", g, a.gtid)
	}
	a.reset()
	a.state, a.gtid, a.opened = opened, g, at
	if isBegun {
		a.state = begun
	}
	return nil
}

// abandon drops an open group: the server died while it wrote it, and rolled it
// back when it came up again, with a new file.
func (a *assembler) abandon() {
	if a.state != between && a.abandoned != nil {
		a.abandoned(a.gtid)
	}
	a.reset()
}

func (a *assembler) reset() {
	a.state, a.gtid, a.xid = between, checkpoint.GTID{}, ""
	a.saves, a.next, a.bytes, a.over = savepoints{}, 0, 0, false
	a.dropped, a.fault = nil, nil
	a.letGo()
}

// letGo drops the rows that are held. The room of a few is used again.
func (a *assembler) letGo() {
	clear(a.rows)
	if a.rows = a.rows[:0]; cap(a.rows) > 64 {
		a.rows = nil
	}
}

// other handles the events without a type of their own.
func (a *assembler) other(ev *replication.BinlogEvent) (*group, error) {
	switch ev.Header.EventType {
	case replication.XA_PREPARE_LOG_EVENT:
		return a.prepare(ev)
	case replication.INCIDENT_EVENT:
		hint := hintIncident
		if a.state == between {
			hint = hintIncidentApart
		}
		return nil, halt(nil, hint, "the server reports an incident: its binlog has a gap%s", a.inGroup())
	case replication.TABLE_MAP_EVENT, replication.ROTATE_EVENT, replication.STOP_EVENT, replication.INTVAR_EVENT,
		replication.RAND_EVENT, replication.USER_VAR_EVENT, replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2,
		replication.IGNORABLE_EVENT, replication.ROWS_QUERY_EVENT, replication.PREVIOUS_GTIDS_EVENT,
		replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT, replication.BEGIN_LOAD_QUERY_EVENT,
		replication.APPEND_BLOCK_EVENT, replication.DELETE_FILE_EVENT, replication.MARIADB_ANNOTATE_ROWS_EVENT,
		replication.MARIADB_BINLOG_CHECKPOINT_EVENT, replication.MARIADB_GTID_LIST_EVENT, replication.MARIADB_START_ENCRYPTION_EVENT:
		return nil, nil
	}
	if ev.Header.Flags&replication.LOG_EVENT_IGNORABLE_F != 0 {
		return nil, nil
	}
	return nil, halt(nil, "The server is newer than this binjet understands: upgrade binjet",
		"unknown event type %d in the binlog%s", ev.Header.EventType, a.inGroup())
}

func (a *assembler) inGroup() string {
	if a.state == between {
		return ""
	}
	return fmt.Sprintf(" (transaction %s)", a.gtid)
}

// commit ends the group with what survived of it.
func (a *assembler) commit() (*group, error) {
	if a.state == between {
		return nil, halt(nil, "Report this with the output of mysqlbinlog", "a commit outside of a transaction")
	}
	if a.fault != nil {
		return nil, a.fault.err
	}
	g := a.ended()
	g.rows = a.next - dropped(a.dropped)
	switch {
	case a.replaying():
		g.plan, g.planned = a.second, true
		g.rows = a.second.rows
	case a.over:
		g.plan = &plan{gtid: a.gtid, dropped: a.dropped, rows: g.rows}
	default:
		a.collect(g)
	}
	a.reset()
	return g, nil
}

func (a *assembler) collect(g *group) {
	g.rows = 0
	if a.seen == nil && len(a.rows) > 0 {
		g.messages = a.room(len(a.rows))
	}
	for i := range a.rows {
		r := &a.rows[i]
		if a.seen != nil {
			a.seen(*r.table, r.msg.ID, r.msg.CreatedAt, r.deleted)
			continue
		}
		g.hold(r)
	}
}

// sharing is how many transactions, or messages of them, are one allocation, and maxShared
// the most that a transaction may hold, in bytes, so that little stays for longer than it is
// needed.
const (
	sharing   = 64
	maxShared = 8 << 10
)

func (a *assembler) room(n int) []binjet.Message {
	if a.bytes > maxShared {
		return make([]binjet.Message, 0, n)
	}
	return a.cut.Take(n, sharing)[:0]
}

func (g *group) hold(r *row) {
	if r.invalid != nil {
		g.invalid = append(g.invalid, invalidRow{g.rows, r.invalid})
	}
	g.rows++
	g.messages = append(g.messages, r.msg)
}

// discard ends the group with nothing: it was rolled back, or writes no rows.
func (a *assembler) discard() *group {
	g := a.ended()
	a.reset()
	return g
}

func (a *assembler) ended() *group {
	a.group = group{gtid: a.gtid, committed: a.opened, bytes: a.bytes, end: a.end()}
	return &a.group
}

// rollbackTo drops what came after a savepoint.
func (a *assembler) rollbackTo(name string) error {
	from, ok := a.saves.rollback(name)
	if !ok {
		return halt(nil, "Report this with the output of mysqlbinlog", "transaction %s rolls back to savepoint %q, which it has not set", a.gtid, name)
	}
	if mutantKeeps() {
		return nil
	}
	if a.fault != nil && a.fault.row >= from {
		a.fault = nil
	}
	for n := len(a.rows); n > 0 && a.rows[n-1].ordinal >= from; n-- {
		a.bytes -= a.rows[n-1].bytes
		a.rows[n-1] = row{}
		a.rows = a.rows[:n-1]
	}
	a.dropped = dropFrom(a.dropped, from, a.next)
	return nil
}

func isDropped(list []span, n int) bool {
	for _, s := range list {
		if n >= s.from && n < s.to {
			return true
		}
	}
	return false
}

// hashes is CRC-32C over the IDs and payloads of a transaction, in order.
type hashes struct {
	sum uint32
	id  []byte // room for one
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// of is the sum of a whole transaction.
func (h *hashes) of(list []binjet.Message) uint32 {
	h.sum = 0
	for i := range list {
		h.add(&list[i])
	}
	return h.sum
}

func (h *hashes) add(m *binjet.Message) {
	h.id = append(h.id[:0], m.ID...)
	h.sum = crc32.Update(h.sum, castagnoli, h.id)
	h.sum = crc32.Update(h.sum, castagnoli, m.Payload)
}

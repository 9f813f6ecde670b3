package binlog

import (
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet"
)

// rowsEvent takes the rows of one event. Tables other than the outbox come
// without decoded rows.
func (a *assembler) rowsEvent(t replication.EventType, e *replication.RowsEvent) error {
	if e.Table == nil || !a.tables.has(e.Table.Schema, e.Table.Table) {
		return nil
	}
	if a.state == between {
		return outside(e.Table)
	}
	l := a.decode.layoutOf(e.Table)
	switch t {
	case replication.WRITE_ROWS_EVENTv0, replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2,
		replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1:
		return a.inserts(l, e, 0)
	case replication.DELETE_ROWS_EVENTv0, replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2,
		replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		a.deletes(l, e)
		return nil
	}
	id := ""
	if len(e.Rows) > 0 {
		id = l.idOf(e.Rows[0])
	}
	if a.tables.ignoreUpdates {
		if a.updated != nil {
			a.updated(l.table, id)
		}
		return nil
	}
	a.blame(halt(ErrUpdate, hintUpdate, "table %s, transaction %s, ID %q", l.table, a.gtid, id))
	return nil
}

// inserted takes the rows of one event as they stand in it, for as long as go-mysql need
// not decode them.
func (a *assembler) inserted(e *images) error {
	if a.state == between {
		return outside(e.table)
	}
	l := a.decode.layoutOf(e.table)
	read := 0
	for ; l.cells != nil && a.seen == nil && len(e.rest) > 0; read++ {
		m, ok := l.next(e, a.opened)
		if !ok {
			break
		}
		ordinal := a.next
		a.next++
		if !a.replaying() {
			a.hold(row{ordinal: ordinal, msg: m, bytes: size(&m), table: &l.table})
		} else if !isDropped(a.second.dropped, ordinal) {
			if err := a.part(m, nil, a.opened); err != nil {
				return err
			}
		}
	}
	if len(e.rest) == 0 {
		return nil
	}
	all, err := e.decoded()
	if err != nil {
		return unparsable(err)
	}
	return a.inserts(l, all, read)
}

func outside(t *replication.TableMapEvent) error {
	return halt(nil, "Report this with the output of mysqlbinlog", "rows of %s.%s outside of a transaction", t.Schema, t.Table)
}

// inserts takes the rows of an event, from one of them on.
func (a *assembler) inserts(l *layout, e *replication.RowsEvent, from int) error {
	for i, image := range e.Rows[from:] {
		ordinal, skipped := a.next, e.SkippedColumns[from+i]
		a.next++
		if a.replaying() {
			if err := a.replay(l, image, skipped, ordinal); err != nil {
				return err
			}
			continue
		}
		m, fault := a.row(l, image, skipped, ordinal)
		if fault != nil && fault.table {
			a.blameRow(fault, ordinal)
			continue
		}
		if a.seen != nil {
			m, fault = binjet.Message{ID: m.ID, CreatedAt: l.timeOf(image)}, nil
		}
		a.hold(row{ordinal: ordinal, msg: m, invalid: fault, bytes: size(&m) + fault.size(), table: &l.table})
	}
	return nil
}

func (a *assembler) hold(r row) {
	if a.over || a.fault != nil {
		return
	}
	a.bytes += r.bytes
	if a.bytes > a.limit {
		a.over, a.bytes = true, 0
		a.letGo()
		return
	}
	a.rows = append(a.rows, r)
}

// deletes keeps the IDs of deleted rows when they are asked for.
func (a *assembler) deletes(l *layout, e *replication.RowsEvent) {
	if a.seen == nil {
		return
	}
	for i, image := range e.Rows {
		m, _ := l.message(image, e.SkippedColumns[i], a.opened)
		m = binjet.Message{ID: m.ID, CreatedAt: l.timeOf(image)}
		a.hold(row{ordinal: a.next, msg: m, bytes: size(&m), table: &l.table, deleted: true})
		a.next++
	}
}

// size is what a message counts against the limit.
func size(m *binjet.Message) int {
	n := 256 + len(m.ID) + len(m.Topic) + len(m.Key) + len(m.ContentType) + len(m.Payload)
	for k, v := range m.Headers {
		n += 64 + len(k)
		for _, s := range v {
			n += 16 + len(s)
		}
	}
	return n
}

// replaying: this group is read the second time, and its outcome is known.
func (a *assembler) replaying() bool { return a.second != nil && a.second.gtid == a.gtid }

// replay hands out one row of the second reading.
func (a *assembler) replay(l *layout, image []any, skipped []int, ordinal int) error {
	if isDropped(a.second.dropped, ordinal) {
		return nil
	}
	m, fault := a.row(l, image, skipped, ordinal)
	if fault != nil && fault.table {
		a.blameRow(fault, ordinal)
		return a.fault.err
	}
	return a.part(m, fault, a.opened)
}

// row decodes one row image, whose fault says where it is.
func (a *assembler) row(l *layout, image []any, skipped []int, ordinal int) (binjet.Message, *RowError) {
	m, fault := l.message(image, skipped, a.opened)
	if fault != nil {
		fault.GTID, fault.Row = a.gtid, ordinal+1
	}
	return m, fault
}

// blame records a fault at the current place of the group.
func (a *assembler) blame(err error) {
	if a.fault == nil {
		a.fault = &groupFault{a.next, err}
	}
	a.next++
}

// blameRow is blame for a row whose table is to blame.
func (a *assembler) blameRow(e *RowError, ordinal int) {
	if a.fault == nil {
		a.fault = &groupFault{ordinal, halt(e, e.Hint, "an outbox row can't be published")}
	}
}

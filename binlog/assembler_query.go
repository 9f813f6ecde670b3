package binlog

import (
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// query takes a statement: transaction control, DDL, or a write that is logged
// as a statement. It ends the group when nothing of it can follow.
func (a *assembler) query(schema, text string) (*group, error) {
	if a.state == between {
		if classify(text).kind == kindEmpty {
			return nil, nil
		}
		return nil, halt(nil, "Report this with the output of mysqlbinlog", "a statement outside of a transaction: %.200q", text)
	}
	st := classify(text)
	switch st.kind {
	case kindEmpty:
		return nil, nil
	case kindXACommit:
		return a.decide(st.name, true)
	case kindXARollback:
		return a.decide(st.name, false)
	case kindXAStart, kindXAEnd: // MariaDB logs XA END only
		a.state, a.xid = begun, st.name
		return nil, nil
	}
	a.inspect(st, schema, text)
	if a.state == opened {
		return a.first(st)
	}
	return a.inside(st, text)
}

// first takes the statement that follows a GTID: it begins a transaction, or is all of it.
func (a *assembler) first(st statement) (*group, error) {
	switch st.kind {
	case kindBegin, kindCreateBegin:
		a.state = begun
		return nil, nil
	case kindRollback:
		return a.discard(), nil
	}
	return a.commit()
}

// inside takes a statement inside a transaction.
func (a *assembler) inside(st statement, text string) (*group, error) {
	switch st.kind {
	case kindCommit:
		return a.commit()
	case kindRollback:
		return a.discard(), nil
	case kindSavepoint:
		a.saves.set(st.name, a.next)
	case kindRollbackTo:
		return nil, a.rollbackTo(st.name)
	case kindRelease:
		a.saves.release(st.name)
	case kindBegin:
		if a.gtid.Flavor == checkpoint.MySQL {
			return nil, halt(nil, "Report this with the output of mysqlbinlog", "transaction %s begins twice (%.200q)", a.gtid, text)
		}
	}
	return nil, nil
}

// inspect finds writes in statement format, which bring no rows.
func (a *assembler) inspect(st statement, schema, text string) {
	switch st.kind {
	case kindWrite:
		if t, ok := a.tables.named(schema, tableNames(text)); ok {
			a.blame(halt(ErrStatementFormat, hintRowFormat, "table %s, transaction %s, statement %.200q", t, a.gtid, text))
			return
		}
	case kindDelete, kindOther, kindCreateBegin:
		if a.rowless != nil {
			a.rowless(schema, text)
		}
		if st.kind != kindDelete {
			return
		}
	default:
		return
	}
	if a.foreign != nil {
		a.foreign(text)
	}
}

// mysqlName is the GTID of a group, or its place where files are read by position.
func (a *assembler) mysqlName(e *replication.GTIDEvent) checkpoint.GTID {
	if a.at != nil {
		return a.at.name()
	}
	return mysqlGTID(e)
}

// end is the position behind the last event; none where GTIDs are the position.
func (a *assembler) end() checkpoint.FilePosition {
	if a.at == nil {
		return checkpoint.FilePosition{}
	}
	return a.at.pos
}

func mysqlGTID(e *replication.GTIDEvent) checkpoint.GTID {
	g := checkpoint.GTID{Flavor: checkpoint.MySQL, N: uint64(e.GNO), Tag: e.Tag.String()}
	copy(g.UUID[:], e.SID)
	return g
}

func mariadbGTID(e *replication.MariadbGTIDEvent) checkpoint.GTID {
	return checkpoint.GTID{Flavor: checkpoint.MariaDB, N: e.GTID.SequenceNumber, Domain: e.GTID.DomainID, Server: e.GTID.ServerID}
}

// mysqlCommitted is when the transaction committed where it was first executed:
// the same on every server that has it.
func mysqlCommitted(e *replication.GTIDEvent, h *replication.EventHeader) time.Time {
	switch {
	case e.OriginalCommitTimestamp != 0:
		return time.UnixMicro(int64(e.OriginalCommitTimestamp)).UTC()
	case e.ImmediateCommitTimestamp != 0:
		return time.UnixMicro(int64(e.ImmediateCommitTimestamp)).UTC()
	}
	return time.Unix(int64(h.Timestamp), 0).UTC()
}

// loadQuery returns schema and text of LOAD DATA in statement format.
func loadQuery(ev *replication.BinlogEvent, e *replication.ExecuteLoadQueryEvent) (schema, text string) {
	const fixed = replication.EventHeaderSize + 26
	at := fixed + int(e.StatusVars)
	end := at + int(e.SchemaLength)
	if end+1 > len(ev.RawData) {
		return "", "LOAD DATA"
	}
	return string(ev.RawData[at:end]), string(ev.RawData[end+1:])
}

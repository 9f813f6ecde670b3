package binlog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// prepared is what an XA PREPARE leaves behind until its outcome is known.
type prepared struct {
	xid   string
	rows  int   // outbox rows that survived, held or not
	held  []row // nil when they are too large or can't be published
	bytes int
	plan  *plan // set when they are too large to hold
	fault error // why they can't be published, should they commit

	from *checkpoint.XA // where they were read
}

// prepare ends a group at XA PREPARE. Neither its rows nor what is wrong with
// them matter before their outcome.
func (a *assembler) prepare(ev *replication.BinlogEvent) (*group, error) {
	onePhase, xid := preparedXID(ev)
	if onePhase {
		return a.commit()
	}
	if a.replaying() {
		return a.commit()
	}
	if xid == "" {
		xid = a.xid
	}
	p := &prepared{xid: xid, rows: a.next - dropped(a.dropped)}
	switch {
	case a.fault != nil:
		p.fault = a.fault.err
	case a.over:
		p.plan = &plan{gtid: a.gtid, dropped: a.dropped, rows: p.rows}
	default:
		p.held, p.bytes, a.rows = a.rows, a.bytes, nil
		p.keep()
	}
	g := a.discard()
	g.prepared = p
	return g, nil
}

// keep gives the payloads memory of their own, since the rows may be held for long.
func (p *prepared) keep() {
	for i := range p.held {
		if m := &p.held[i].msg; len(m.Payload) < largeRows {
			m.Payload = bytes.Clone(m.Payload)
		}
	}
}

// decide ends a group at XA COMMIT or XA ROLLBACK.
func (a *assembler) decide(xid string, commits bool) (*group, error) {
	if commits && a.state == begun && a.xid == xid { // one phase: what was begun is committed
		return a.commit()
	}
	g := a.discard()
	g.decided, g.commits = xid, commits
	return g, nil
}

// preparedXID reads an XA_PREPARE event: one phase or not (1 byte), the format,
// the lengths of gtrid and bqual (4 bytes each), and both.
func preparedXID(ev *replication.BinlogEvent) (onePhase bool, xid string) {
	e, ok := ev.Event.(*replication.GenericEvent)
	if !ok || len(e.Data) == 0 {
		return false, ""
	}
	onePhase = e.Data[0] != 0
	if len(e.Data) < 13 {
		return onePhase, ""
	}
	format := binary.LittleEndian.Uint32(e.Data[1:])
	gtrid := uint64(binary.LittleEndian.Uint32(e.Data[5:]))
	bqual := uint64(binary.LittleEndian.Uint32(e.Data[9:]))
	data := e.Data[13:]
	if gtrid+bqual > uint64(len(data)) {
		return onePhase, ""
	}
	return onePhase, xidText(data[:gtrid], data[gtrid:gtrid+bqual], format)
}

// xidText is an XID as the servers write it, in upper case.
func xidText(gtrid, bqual []byte, format uint32) string {
	return fmt.Sprintf("X'%X',X'%X',%d", gtrid, bqual, format)
}

// parseXID reads an XID as it stands in a statement: up to two strings, in hex
// or not, and a number. What is none is its own name.
func parseXID(text string) string {
	var parts [2][]byte
	format := uint32(1)
	list := splitXID(text)
	if len(list) == 0 || len(list) > 3 {
		return text
	}
	for i, s := range list {
		if i == 2 {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return text
			}
			format = uint32(n)
			continue
		}
		b, ok := xidString(s)
		if !ok {
			return text
		}
		parts[i] = b
	}
	return xidText(parts[0], parts[1], format)
}

// splitXID splits at commas outside of quotes.
func splitXID(text string) (list []string) {
	quote, from := byte(0), 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote == 0 && c == ',':
			list = append(list, strings.TrimSpace(text[from:i]))
			from = i + 1
		}
	}
	return append(list, strings.TrimSpace(text[from:]))
}

// xidString reads X'61', 0x61 or 'a'.
func xidString(s string) ([]byte, bool) {
	if n := len(s); n >= 3 && (s[0] == 'X' || s[0] == 'x') && s[1] == '\'' && s[n-1] == '\'' {
		b, err := hex.DecodeString(s[2 : n-1])
		return b, err == nil
	}
	if strings.HasPrefix(s, "0x") {
		b, err := hex.DecodeString(s[2:])
		return b, err == nil
	}
	if n := len(s); n >= 2 && (s[0] == '\'' || s[0] == '"') && s[n-1] == s[0] && !strings.Contains(s, "\\") {
		return []byte(s[1 : n-1]), true
	}
	return nil, false
}

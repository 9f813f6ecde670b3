package checkpoint

import (
	"slices"
	"time"
)

// XA is an XA transaction that is prepared and neither committed nor rolled back.
type XA struct {
	// XID is its name, as the binlog writes it: X'gtrid',X'bqual',format.
	XID string `json:"xid"`
	// GTID is that of the XA PREPARE, whose group holds the rows.
	GTID GTID `json:"gtid"`
	// Since is when it was prepared.
	Since time.Time `json:"since"`
	// Rows is how many outbox rows it has. It is listed without any, too, so that
	// its outcome is understood.
	Rows int `json:"rows,omitempty"`
	// Before is the transaction before GTID in its domain, from which MariaDB can be
	// asked for the rows again; zero for MySQL, and for the first of a domain.
	Before GTID `json:"before,omitzero"`
}

// The list of a position is bounded, since it is in every checkpoint. What falls
// out of it is looked for in the binlog when its outcome comes.
const (
	maxXA         = 500
	maxHarmlessXA = 100 // of those without rows
)

// Undecided returns the prepared XA transaction of a name.
func (p Position) Undecided(xid string) (XA, bool) {
	i := slices.IndexFunc(p.XA, func(x XA) bool { return x.XID == xid })
	if i < 0 {
		return XA{}, false
	}
	return p.XA[i], true
}

// applyXA keeps the list. It is replaced, never changed: clones share it.
func (p *Position) applyXA(tx *Transaction) {
	xid := tx.Decided
	if tx.Prepared != nil {
		xid = tx.Prepared.XID
	}
	if xid == "" {
		return
	}
	list := make([]XA, 0, len(p.XA)+1)
	for _, x := range p.XA {
		if x.XID != xid {
			list = append(list, x)
		}
	}
	if tx.Prepared != nil {
		list = append(list, *tx.Prepared)
	}
	p.XA = boundXA(list)
}

// boundXA drops the oldest of too many, those without rows first.
func boundXA(list []XA) []XA {
	harmless := 0
	for _, x := range list {
		if x.Rows == 0 {
			harmless++
		}
	}
	if harmless > maxHarmlessXA {
		i := slices.IndexFunc(list, func(x XA) bool { return x.Rows == 0 })
		list = slices.Delete(list, i, i+1)
	}
	if n := len(list) - maxXA; n > 0 {
		list = list[n:]
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

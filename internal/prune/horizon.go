package prune

import (
	"fmt"
	"strings"

	"github.com/binjet/binjet/checkpoint"
)

// Horizon is what the binlog of a server held at one moment. Every transaction whose
// rows could be seen before that moment is in it. One kind of position is set.
type Horizon struct {
	Flavor checkpoint.Flavor
	// GTIDs are what MySQL has executed or owns, or where MariaDB's binlog stands.
	GTIDs checkpoint.GTIDSet
	// settled are those of GTIDs that no rollback can take back: all but the owned ones.
	settled checkpoint.GTIDSet
	// States are the last of each MariaDB domain and server.
	States []checkpoint.GTID
	// File is the end of the binlog of the server UUID, on MySQL without GTIDs.
	File checkpoint.FilePosition
	UUID string
}

// Lacks says what a position is short of; "" when it covers the horizon.
func (h Horizon) Lacks(p checkpoint.Position) string {
	switch {
	case p.Snapshot != nil:
		return "a snapshot that is not finished"
	case !h.File.IsZero() || !p.Binlog.IsZero():
		return h.lacksFile(p)
	case h.Flavor != p.Flavor:
		return fmt.Sprintf("everything: it is a position of %q, and the server is %s", p.Flavor, h.Flavor)
	case h.Flavor == checkpoint.MariaDB:
		return h.lacksDomains(p)
	}
	return h.GTIDs.Minus(p.Resume).String()
}

func (h Horizon) lacksFile(p checkpoint.Position) string {
	switch {
	case h.File.IsZero() || p.Binlog.IsZero():
		return "the same kind of position: one is of GTIDs, the other file:offset"
	case h.UUID != p.ServerUUID:
		return fmt.Sprintf("everything: %s is a position of server %s, and this one is %s", p.Binlog, p.ServerUUID, h.UUID)
	case h.File.File == p.Binlog.File && h.File.Offset <= p.Binlog.Offset, h.File.File != p.Binlog.File && h.File.Before(p.Binlog):
		return ""
	}
	return h.File.String()
}

// lacksDomains: numbers of a domain may go back, so a lower one proves nothing, and
// an equal one of another server neither.
func (h Horizon) lacksDomains(p checkpoint.Position) string {
	highest := map[uint32]checkpoint.GTID{}
	for _, g := range h.States {
		if top, ok := highest[g.Domain]; !ok || g.N > top.N {
			highest[g.Domain] = g
		}
	}
	var lacks []string
	for domain, top := range highest {
		at, ok := p.Resume.Domain(domain)
		last, known := h.GTIDs.Domain(domain)
		if ok && (known && at == last || at.N > top.N) {
			continue
		}
		if known {
			top = last
		}
		lacks = append(lacks, top.String())
	}
	return strings.Join(lacks, ",")
}

// revokes reports whether h, which is later, lacks some of before: then the
// server is not the one that it was.
func (h Horizon) revokes(before Horizon) bool {
	if !h.File.IsZero() && !before.File.IsZero() {
		return h.UUID != before.UUID || h.File.File == before.File.File && h.File.Offset < before.File.Offset ||
			h.File.File != before.File.File && h.File.Before(before.File)
	}
	return !before.settled.Minus(h.GTIDs).IsEmpty()
}

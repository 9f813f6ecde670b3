package testdb

import (
	"slices"
	"strconv"
	"strings"

	"github.com/binjet/binjet/internal/dbserver"
)

// speech is what servers say differently: by version, or not at all.
type speech struct {
	flavor  dbserver.Flavor
	version []int
}

func speechOf(s *dbserver.Server) speech {
	sp := speech{flavor: s.Flavor()}
	for part := range strings.SplitSeq(s.Version(), ".") {
		n, _ := strconv.Atoi(part) // Version has numbers only
		sp.version = append(sp.version, n)
	}
	return sp
}

// mySQL tells whether it is a MySQL of that version or later.
func (s speech) mySQL(from ...int) bool {
	return s.flavor == dbserver.MySQL && slices.Compare(s.version, from) >= 0
}

// BinlogStatus is the statement whose first two columns are where the binlog ends.
func BinlogStatus(s *dbserver.Server) string { return speechOf(s).binlogStatus() }

// ResetBinlogs is the statement that begins the binlog and its GTIDs anew.
func ResetBinlogs(s *dbserver.Server) string { return speechOf(s).resetBinlogs() }

// HasTags tells whether GTIDs may have tags.
func HasTags(s *dbserver.Server) bool { return speechOf(s).mySQL(8, 3) }

// HasVectors tells whether there is a type VECTOR.
func HasVectors(s *dbserver.Server) bool { return speechOf(s).hasVectors() }

func (s speech) hasVectors() bool {
	return s.mySQL(9) || s.flavor == dbserver.MariaDB && slices.Compare(s.version, []int{11, 7}) >= 0
}

// MySQL 8.2 renamed both statements, and 8.4 forgot their old names.
func (s speech) binlogStatus() string {
	if s.mySQL(8, 2) {
		return "SHOW BINARY LOG STATUS"
	}
	return "SHOW MASTER STATUS"
}

func (s speech) resetBinlogs() string {
	if s.mySQL(8, 2) {
		return "RESET BINARY LOGS AND GTIDS"
	}
	return "RESET MASTER"
}

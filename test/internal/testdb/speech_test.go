package testdb

import (
	"testing"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestSpeech: by the manuals of MySQL 8.2 and 8.3, which the tests of most machines
// don't meet.
func TestSpeech(t *testing.T) {
	for _, c := range []struct {
		flavor  dbserver.Flavor
		version []int
		renamed bool
		tags    bool
	}{
		{dbserver.MySQL, []int{8, 0, 46}, false, false},
		{dbserver.MySQL, []int{8, 2, 0}, true, false},
		{dbserver.MySQL, []int{8, 4, 3}, true, true},
		{dbserver.MySQL, []int{9, 7, 4}, true, true},
		{dbserver.MariaDB, []int{10, 11, 18}, false, false},
		{dbserver.MariaDB, []int{11, 8, 9}, false, false},
	} {
		s := speech{c.flavor, c.version}
		status, reset := "SHOW MASTER STATUS", "RESET MASTER"
		if c.renamed {
			status, reset = "SHOW BINARY LOG STATUS", "RESET BINARY LOGS AND GTIDS"
		}
		if s.binlogStatus() != status || s.resetBinlogs() != reset || s.mySQL(8, 3) != c.tags {
			t.Errorf("%v %v: %s, %s, tags %t", c.flavor, c.version, s.binlogStatus(), s.resetBinlogs(), s.mySQL(8, 3))
		}
	}
}

package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// shapesOrigins: transactions of other servers, as a replica or a restore brings
// them, among the server's own: several origins, tags and domains by turns, numbers
// out of order and with gaps, over several log files. Read again from each position
// there is exactly what follows it.
func shapesOrigins(t *testing.T, s *binlogSource) {
	c := s.conn(t)
	r := s.reader(t, nil)
	from := begin(t, r)
	var want []string
	for i, next := range s.numbers() {
		id := fmt.Sprintf("n%02d", i)
		if i%7 == 5 {
			execSQL(t, s.db, "FLUSH BINARY LOGS")
		}
		s.run(t, c, next...)
		if i%7 == 3 {
			s.run(t, c, "CREATE TABLE t"+id+" (a INT)") // without events
			continue
		}
		s.run(t, c, "BEGIN", insertSQL(id), "COMMIT")
		want = append(want, id)
	}
	s.run(t, c, s.ownNumber()...)
	s.run(t, c, insertSQL("end"))
	want = append(want, "end")

	var positions []checkpoint.Position
	pos := from.Clone()
	k := stream(t, r, from, func(tx *checkpoint.Transaction) error {
		positions = append(positions, pos.Clone())
		pos.Apply(tx)
		return nil
	})
	k.untilID(t, "end")
	_ = k.stop()
	s.samePosition(t, k.position())
	if got := k.ids(); !slices.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	for i, p := range positions {
		must(t, r.Verify(t.Context(), p))
		k := stream(t, r, p, nil)
		k.untilID(t, "end")
		_ = k.stop()
		rest := 0
		for _, tx := range k.txs {
			rest += len(tx.Messages)
		}
		if got := k.ids(); len(k.txs) != len(positions)-i || !slices.Equal(got, want[len(want)-rest:]) {
			t.Errorf("from position %d, %s: %d transactions, %v", i, p.Resume, len(k.txs), got)
		}
		s.samePosition(t, k.position())
	}
}

// numbers are the statements that give each of the next transactions its number.
func (s *binlogSource) numbers() (list [][]string) {
	if s.srv.Flavor() == dbserver.MySQL {
		const a, b = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"
		for _, next := range []string{a + ":5", "AUTOMATIC", a + ":3", "AUTOMATIC:web", a + ":app:7", b + ":1", "AUTOMATIC", b + ":9",
			a + ":app:1", "AUTOMATIC:web", a + ":4", "AUTOMATIC:app", a + ":1", b + ":web:2", "AUTOMATIC", a + ":2", a + ":app:6", "AUTOMATIC:web"} {
			if testdb.HasTags(s.srv) || !strings.Contains(next, ":app") && !strings.Contains(next, ":web") {
				list = append(list, []string{"SET SESSION gtid_next='" + next + "'"})
			}
		}
		return list
	}
	for _, n := range []string{"7,9,100", "0,1,0", "7,9,0", "8,9,4", "7,3,0", "0,1,0", "7,9,500", "8,9,0", "0,4,0", "0,1,0", "8,2,900", "7,3,0", "0,1,0", "8,9,0"} {
		var domain, server, seq int
		_, _ = fmt.Sscanf(n, "%d,%d,%d", &domain, &server, &seq)
		list = append(list, []string{fmt.Sprintf("SET SESSION gtid_domain_id=%d, server_id=%d, gtid_seq_no=%d", domain, server, seq)})
	}
	return list
}

// ownNumber goes back to the server's own numbers.
func (s *binlogSource) ownNumber() []string {
	if s.srv.Flavor() == dbserver.MySQL {
		return []string{"SET SESSION gtid_next='AUTOMATIC'"}
	}
	return []string{"SET SESSION gtid_domain_id=0, server_id=1"}
}

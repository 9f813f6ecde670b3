package test

import (
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/test/internal/testdb"
)

// gtidMode takes the server to a gtid_mode, one step from where it is.
func (s *binlogSource) gtidMode(t *testing.T, modes ...string) {
	t.Helper()
	for _, mode := range modes {
		if mode == "ON" {
			execSQL(t, s.db, "SET GLOBAL enforce_gtid_consistency=ON")
		}
		execSQL(t, s.db, "SET GLOBAL gtid_mode="+mode)
	}
}

// TestPositionsFileOnline: GTIDs are turned on while the server is read, by one
// reader that goes on all the time and by one that is another after each step. Both
// come to a position of GTIDs, with everything read once. Then they are turned off.
func TestPositionsFileOnline(t *testing.T) {
	t.Parallel()
	s := startWithoutGTIDs(t)
	s.insert(t, "before")
	from := begin(t, s.reader(t, nil))
	k := stream(t, s.reader(t, nil), from, nil)
	hop, hops := from, []string(nil)
	all := []string{}
	step := func(ids ...string) {
		t.Helper()
		s.insert(t, ids...)
		last := ids[len(ids)-1]
		k.untilID(t, last)
		h := s.hop(t, hop, last)
		hop, hops, all = h.position(), append(hops, h.ids()...), append(all, ids...)
		if !slices.Equal(hops, all) || !slices.Equal(k.ids(), all) {
			t.Fatalf("got %v and %v, want %v", hops, k.ids(), all)
		}
	}
	step("off")
	s.gtidMode(t, "OFF_PERMISSIVE")
	step("off-permissive")
	s.gtidMode(t, "ON_PERMISSIVE")
	if testdb.HasTags(s.srv) {
		s.run(t, s.conn(t), "SET SESSION gtid_next='AUTOMATIC:app'", insertSQL("tagged"))
		all = append(all, "tagged")
	}
	step("on-permissive")
	if hop.Binlog.IsZero() {
		t.Errorf("GTIDs already: %+v", hop)
	}
	behind := hop.Clone()
	s.gtidMode(t, "ON")
	step("on")
	s.converted(t, k)
	s.converted(t, &binlogSink{pos: hop})
	execSQL(t, s.db, "FLUSH BINARY LOGS")
	must(t, s.srv.Restart(t.Context(), "--gtid-mode=ON", "--enforce-gtid-consistency=ON"))
	step("restarted")
	s.converted(t, k)

	// A reader that was stopped before, with nothing behind it that has no GTID.
	h := s.hop(t, behind, "restarted")
	want(t, "behind", h.ids(), "on", "restarted")
	s.converted(t, h)
	// And one with something that the server does not send now.
	stream(t, s.reader(t, nil), from, nil).halted(t, binlog.ErrGTIDMode, "ON_PERMISSIVE")
	s.gtidMode(t, "ON_PERMISSIVE")
	h = s.hop(t, from, "restarted")
	want(t, "from the start", h.ids(), all...)
	s.gtidMode(t, "ON")
	s.insert(t, "again")
	h = s.hop(t, h.position(), "again")
	s.converted(t, h)

	s.gtidMode(t, "ON_PERMISSIVE")
	s.refused(t, h.position(), binlog.ErrGTIDMode, "gtid_mode=ON_PERMISSIVE", "Turn GTIDs on again")
	s.killDumps(t)
	k.halted(t, binlog.ErrGTIDMode, "Turn GTIDs on again")
}

// hop reads on until a message, and what the server has by then.
func (s *binlogSource) hop(t *testing.T, from checkpoint.Position, id string) *binlogSink {
	t.Helper()
	r := s.reader(t, nil)
	must(t, r.Verify(t.Context(), from))
	k := stream(t, r, from, nil)
	k.untilID(t, id)
	_ = k.stop()
	return k
}

// converted wants a position of GTIDs, of all that the server has.
func (s *binlogSource) converted(t *testing.T, k *binlogSink) {
	t.Helper()
	p := k.position()
	if !p.Binlog.IsZero() || p.Form() != 1 {
		t.Errorf("the position is %+v", p)
	}
	s.samePosition(t, p)
	must(t, s.reader(t, nil).Verify(t.Context(), p))
}

// TestPositionsFileXAOnline: what is prepared has a name by file, so the position
// stays one until it is decided.
func TestPositionsFileXAOnline(t *testing.T) {
	t.Parallel()
	s := startWithoutGTIDs(t)
	s.gtidMode(t, "OFF_PERMISSIVE", "ON_PERMISSIVE")
	k := stream(t, s.reader(t, nil), begin(t, s.reader(t, nil)), nil)
	s.prepareXA(t, "'x'", insertSQL("x1", "x2"))
	s.gtidMode(t, "ON")
	s.insert(t, "a")
	k.untilID(t, "a")
	if p := k.position(); p.Binlog.IsZero() || len(p.XA) != 1 {
		t.Errorf("position %+v", p)
	}
	h := s.hop(t, k.position(), s.commitXA(t, "'x'", "b"))
	want(t, "another reader", h.ids(), "x1", "x2", "b")
	k.untilID(t, "b")
	want(t, "the same reader", k.ids(), "a", "x1", "x2", "b")
	execSQL(t, s.db, "FLUSH BINARY LOGS")
	s.insert(t, "c")
	k.untilID(t, "c")
	s.converted(t, k)
	h = s.hop(t, h.position(), "c")
	s.converted(t, h)
}

// commitXA commits, and an event behind it.
func (s *binlogSource) commitXA(t *testing.T, xid, id string) string {
	t.Helper()
	s.decideXA(t, "COMMIT", xid)
	s.insert(t, id)
	return id
}

// TestPositionsFileOnlineLoad: GTIDs are turned on while four write and four read,
// one of whom begins anew again and again. Each comes to a position of GTIDs in the
// middle of it, and nothing is lost or repeated there.
func TestPositionsFileOnlineLoad(t *testing.T) {
	t.Parallel()
	s := startWithoutGTIDs(t)
	stop := make(chan struct{})
	committed := make(chan []string, 1)
	from := begin(t, s.reader(t, nil))
	go func() { committed <- s.writers(t, "w", 4, 0, stop) }()
	var sinks []*binlogSink
	for range 3 {
		sinks = append(sinks, stream(t, s.reader(t, nil), from, nil))
	}
	hopper := stream(t, s.reader(t, nil), from, nil)
	var hopped []string
	hopOn := func() {
		_ = hopper.stop()
		hopped = append(hopped, hopper.ids()...)
		hopper = stream(t, s.reader(t, nil), hopper.position(), nil)
	}
	s.gtidMode(t, "OFF_PERMISSIVE", "ON_PERMISSIVE")
	consumerEventually(t, "the last transaction without GTID", func() bool {
		return querySQL(t, s.db, "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME='Ongoing_anonymous_transaction_count'") == "0"
	})
	execSQL(t, s.db, "FLUSH BINARY LOGS")
	file, _, _ := strings.Cut(s.logEnd(t), ":")
	for _, k := range append(sinks, hopper) {
		k.until(t, "file "+file, func([]*checkpoint.Transaction) bool { return k.pos.Binlog.File >= file })
	}
	hopOn()
	s.gtidMode(t, "ON")
	hopOn()
	for _, k := range append(sinks, hopper) {
		k.until(t, "a position of GTIDs", func([]*checkpoint.Transaction) bool { return k.pos.Binlog.IsZero() })
	}
	hopOn()
	close(stop)
	all := append(<-committed, "end")
	s.insert(t, "end")
	for _, k := range append(sinks, hopper) {
		k.untilID(t, "end")
		_ = k.stop()
		ids := k.ids()
		if k == hopper {
			ids = append(hopped, ids...)
		}
		exactly(t, ids, all)
		s.converted(t, k)
	}
}

package test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestPositionsFileLost: what a file position refers to is not there any more, or
// is something else.
func TestPositionsFileLost(t *testing.T) {
	t.Parallel()
	s := startWithoutGTIDs(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *binlogSource)
	}{
		{"purged", filePurged}, {"idle", fileIdle}, {"another", fileAnother}, {"restored", fileRestored},
		{"reset", fileReset}, {"reset_while_reading", fileResetWhileReading},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newBinlogSource(t, s.srv, s.db, "l_"+test.name)) })
	}
}

// filePurged: what follows the position is gone, and all that is left can be had.
func filePurged(t *testing.T, s *binlogSource) {
	from := begin(t, s.reader(t, nil))
	s.insert(t, "a")
	pos := s.read(t, from, "a")
	s.insert(t, "gone")
	s.purge(t)
	s.insert(t, "kept")
	s.refused(t, pos, binlog.ErrPurged, pos.Binlog.String(), "source.name", "source.start=earliest")
	r := s.reader(t, func(c *binlog.Config) { c.Start = binlog.StartEarliest })
	k := stream(t, r, begin(t, r), nil)
	k.untilID(t, "kept")
	want(t, "what is left", k.ids(), "kept")
}

// fileIdle: nothing was committed, but the file was changed and the one before was
// purged: nothing is missing. The last transaction can't be compared any more.
func fileIdle(t *testing.T, s *binlogSource) {
	k := stream(t, s.reader(t, nil), begin(t, s.reader(t, nil)), nil)
	s.insert(t, "a")
	k.untilID(t, "a")
	execSQL(t, s.db, "FLUSH BINARY LOGS")
	file, _, _ := strings.Cut(s.logEnd(t), ":")
	k.until(t, "file "+file, func(txs []*checkpoint.Transaction) bool { return txs[len(txs)-1].Binlog.File == file })
	_ = k.stop()
	pos := k.position()
	execSQL(t, s.db, "PURGE BINARY LOGS TO '"+file+"'")
	if logs := s.binlogs(t); len(logs) != 1 || pos.Last.GTID.File == file {
		t.Fatalf("binlogs %v, position %+v", logs, pos)
	}
	k = s.restartStream(t, pos, "b")
	want(t, "from the new file", k.ids(), "b")
}

// fileAnother: no file position is of another server, and no GTID set of one that
// runs without GTIDs.
func fileAnother(t *testing.T, s *binlogSource) {
	from := begin(t, s.reader(t, nil))
	s.insert(t, "a")
	pos := s.read(t, from, "a")
	other := startWithoutGTIDs(t)
	other.schema = s.schema
	for _, q := range []string{"CREATE DATABASE " + s.schema, "CREATE TABLE " + s.schema + ".outbox LIKE shop.outbox"} {
		execSQL(t, other.db, q)
	}
	other.refused(t, pos, binlog.ErrForeign, "File positions can't follow a fail-over", pos.ServerUUID, "source.start")

	set, err := checkpoint.ParseGTIDSet(pos.ServerUUID + ":1-5")
	must(t, err)
	s.refused(t, checkpoint.Position{Flavor: checkpoint.MySQL, ServerUUID: pos.ServerUUID, Resume: set},
		binlog.ErrGTIDMode, "gtid_mode=OFF", "Turn GTIDs on again")
}

// fileRestored: an older backup of the same server, with its UUID and its files.
func fileRestored(t *testing.T, s *binlogSource) {
	from := begin(t, s.reader(t, nil))
	s.insert(t, "a")
	base := s.read(t, from, "a")
	old := s.backup(t)
	s.insert(t, "lost")
	lost := s.read(t, base, "lost")
	s.restore(t, old)
	s.insert(t, "other")
	s.refused(t, lost, binlog.ErrForeign, "the same as before", lost.Binlog.String(), "source.start")
	if got := s.read(t, base, "other"); got.Binlog.File != lost.Binlog.File {
		t.Errorf("the file's name was not used again: %s, then %s", lost.Binlog, got.Binlog)
	}
	// Had the file the same time, its last transaction would tell.
	same := lost.Clone()
	same.Binlog.Created = s.read(t, base, "other").Binlog.Created
	s.refused(t, same, binlog.ErrRewritten, lost.Last.GTID.String(), "RESET BINARY LOGS", stampOf(lost.Last))
}

// fileReset: the server began its files anew, under the same names.
func fileReset(t *testing.T, s *binlogSource) {
	execSQL(t, s.db, testdb.ResetBinlogs(s.srv))
	from := begin(t, s.reader(t, nil))
	s.insert(t, "a", "b", "c")
	pos := s.read(t, from, "c")
	execSQL(t, s.db, "DO SLEEP(1.1)") // files have whole seconds
	execSQL(t, s.db, testdb.ResetBinlogs(s.srv))
	s.refused(t, pos, binlog.ErrForeign, pos.Binlog.String(), "bytes of its binlog", "source.start")
	s.refused(t, from, binlog.ErrForeign, "began its binlog")
	for i := 0; i < 6; i++ {
		s.insert(t, "n"+string(rune('a'+i)))
	}
	s.refused(t, pos, binlog.ErrForeign, "began its binlog")
	same := pos.Clone()
	same.Binlog.Created = begin(t, s.reader(t, nil)).Binlog.Created
	s.refused(t, same, binlog.ErrRewritten, pos.Last.GTID.String())
}

// fileResetWhileReading: the server goes on to send heartbeats for a file that is
// gone, whether it commits anything or not.
func fileResetWhileReading(t *testing.T, s *binlogSource) {
	for _, busy := range []bool{false, true} {
		r := s.reader(t, func(c *binlog.Config) { c.Heartbeat, c.ReadTimeout = 100*time.Millisecond, time.Minute })
		k := stream(t, r, begin(t, r), nil)
		s.insert(t, "a"+querySQL(t, s.db, "SELECT UUID()"), "b"+querySQL(t, s.db, "SELECT UUID()"))
		k.until(t, "two", func(txs []*checkpoint.Transaction) bool { return len(txs) >= 2 })
		execSQL(t, s.db, "DO SLEEP(1.1)")
		execSQL(t, s.db, testdb.ResetBinlogs(s.srv))
		for busy && len(k.done) == 0 && s.shorter(t, k.position().Binlog.Offset) {
			s.insert(t, querySQL(t, s.db, "SELECT UUID()"))
		}
		k.halted(t, binlog.ErrForeign, k.position().Binlog.String())
		if got := k.ids(); len(got) != 2 || !slices.IsSorted(got) {
			t.Errorf("got %v", got)
		}
	}
}

// shorter: the only binlog ends before an offset, or not far behind it.
func (s *binlogSource) shorter(t *testing.T, offset uint64) bool {
	t.Helper()
	end, err := checkpoint.ParseFilePosition(s.logEnd(t))
	must(t, err)
	return end.Offset < offset+1000
}

package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// startWithoutGTIDs is a MySQL server that runs with gtid_mode=OFF.
func startWithoutGTIDs(t *testing.T, args ...string) *binlogSource {
	t.Helper()
	args = append([]string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}, args...)
	srv, db := startDB(t, dbserver.Options{Flavor: dbserver.MySQL, Durable: true, Args: args})
	return newBinlogSource(t, srv, db, "shop")
}

func (s *binlogSource) withoutGTIDs(t *testing.T) bool {
	t.Helper()
	return s.srv.Flavor() == dbserver.MySQL && querySQL(t, s.db, "SELECT @@GLOBAL.gtid_mode") != "ON"
}

// logEnd is where the binlog ends, as file:offset.
func (s *binlogSource) logEnd(t *testing.T) string {
	t.Helper()
	var file, offset string
	var more [3]any
	must(t, s.db.QueryRowContext(t.Context(), testdb.BinlogStatus(s.srv)).Scan(&file, &offset, &more[0], &more[1], &more[2]))
	return file + ":" + offset
}

// TestPositionsFile: without GTIDs, what holds with them holds as well.
func TestPositionsFile(t *testing.T) {
	t.Parallel()
	s := startWithoutGTIDs(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *binlogSource)
	}{
		{"shapes", binlogShapes},
		{"compressed", binlogCompressed},
		{"halts", binlogHalts},
		{"kills", binlogKills},
		{"huge_resumed", binlogHugeResumed},
		{"snapshot", func(t *testing.T, s *binlogSource) { snapshotsUnderLoad(t, s, 2) }},
		{"snapshot_cut", binlogSnapshotCut},
		{"snapshot_deleted", binlogSnapshotDeleted},
		{"xa_shapes", xaShapes},
		{"xa_resumed", xaResumed},
		{"xa_killed", xaKilled},
		{"xa_from_before", fileXAFromBefore},
		{"xa_snapshot", xaSnapshot},
		{"xa_snapshot_cut", xaSnapshotCut},
		{"xa_snapshot_load", func(t *testing.T, s *binlogSource) { xaSnapshotsUnderLoad(t, s, 5) }},
		{"xa_huge", xaHuge},
		{"xa_faulty", xaFaulty},
		{"policies", filePolicies},
		{"check", fileCheck},
		{"resumed", fileResumed},
		{"checksums", fileChecksums},
		{"killed", fileKilled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newBinlogSource(t, s.srv, s.db, "f_"+test.name)) })
	}
}

// fileResumed: from every position that was yielded, another reader goes on with
// exactly the rest: over new files, and a crash of the server.
func fileResumed(t *testing.T, s *binlogSource) {
	var positions []checkpoint.Position
	var after []int // messages that had come by then
	from := begin(t, s.reader(t, nil))
	at, n := from.Clone(), 0
	k := stream(t, s.reader(t, nil), from, func(tx *checkpoint.Transaction) error {
		n += len(tx.Messages)
		at.Apply(tx)
		positions, after = append(positions, at.Clone()), append(after, n)
		return nil
	})
	c := s.conn(t)
	s.run(t, c, "CREATE TABLE t (a INT)", insertSQL("a"), "FLUSH BINARY LOGS", "INSERT INTO t VALUES (1)",
		"BEGIN", insertSQL("b"), "SAVEPOINT s", insertSQL("no"), "ROLLBACK TO s", insertSQL("c"), "COMMIT",
		"FLUSH BINARY LOGS", "FLUSH BINARY LOGS", insertSQL("d"), "SET SESSION binlog_transaction_compression=ON", insertSQL("e", "f"))
	must(t, s.srv.Kill())
	must(t, s.srv.Restart(t.Context()))
	s.insert(t, "g", "end")
	k.untilID(t, "end")
	_ = k.stop()
	s.samePosition(t, k.position())
	s.namesAreGroups(t, k.txs)

	all := k.ids()
	want(t, "all", all, "a", "b", "c", "d", "e", "f", "g", "end")
	for i, p := range positions[:len(positions)-1] {
		r := s.reader(t, nil)
		must(t, r.Verify(t.Context(), p))
		again := stream(t, r, p, nil)
		again.untilID(t, "end")
		_ = again.stop()
		if got := again.ids(); !slices.Equal(got, all[after[i]:]) {
			t.Errorf("from %s: %v, want %v", p.Where(), got, all[after[i]:])
		}
		s.samePosition(t, again.position())
	}
}

// namesAreGroups: at the place that a transaction is named by, its group begins,
// and where its position is, the next one does.
func (s *binlogSource) namesAreGroups(t *testing.T, txs []*checkpoint.Transaction) {
	t.Helper()
	for i, tx := range txs {
		if tx.GTID.IsZero() {
			if tx.Binlog.Offset != 4 || tx.Binlog.File == txs[i-1].Binlog.File {
				t.Errorf("a transaction without a name, at %s", tx.Binlog)
			}
			continue
		}
		var file, kind string
		var pos, server, end uint64
		var info string
		query := fmt.Sprintf("SHOW BINLOG EVENTS IN '%s' FROM %d LIMIT 1", tx.GTID.File, tx.GTID.N)
		must(t, s.db.QueryRowContext(t.Context(), query).Scan(&file, &pos, &kind, &server, &end, &info))
		if !strings.HasSuffix(kind, "nonymous_Gtid") || pos != tx.GTID.N {
			t.Errorf("%s begins with %s", tx.GTID, kind)
		}
		if i+1 < len(txs) && txs[i+1].GTID.File == tx.Binlog.File && txs[i+1].GTID.N != tx.Binlog.Offset {
			t.Errorf("%s ends at %s, and then comes %s", tx.GTID, tx.Binlog, txs[i+1].GTID)
		}
	}
}

// fileChecksums: files with and without them, read in one go.
func fileChecksums(t *testing.T, s *binlogSource) {
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	defer execSQL(t, s.db, "SET GLOBAL binlog_checksum=CRC32")
	for i, checksum := range []string{"NONE", "CRC32", "NONE"} {
		execSQL(t, s.db, "SET GLOBAL binlog_checksum="+checksum)
		s.insert(t, fmt.Sprint("a", i), fmt.Sprint("b", i))
		s.run(t, s.conn(t), "FLUSH BINARY LOGS", "SET SESSION binlog_transaction_compression=ON", insertSQL(fmt.Sprint("c", i)))
		k.untilID(t, fmt.Sprint("c", i))
		s.samePosition(t, k.position())
		must(t, s.reader(t, nil).Verify(t.Context(), k.position()))
	}
	want(t, "checksums", k.ids(), "a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2")
}

// fileKilled: the server is killed while one writes; what the table holds is what
// comes.
func fileKilled(t *testing.T, s *binlogSource) {
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	c := s.conn(t)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for i := 0; ; i++ {
			if _, err := c.ExecContext(t.Context(), insertSQL(fmt.Sprintf("r%05d", i))); err != nil {
				return
			}
		}
	}()
	k.untilID(t, "r00100")
	must(t, s.srv.Kill())
	<-killed
	must(t, s.srv.Restart(t.Context()))
	s.insert(t, "z")
	k.untilID(t, "z")
	_ = k.stop()
	ids := s.outboxIDs(t)
	slices.Sort(ids)
	if got := k.ids(); !slices.Equal(got, ids) {
		t.Errorf("got %d, the table holds %d", len(got), len(ids))
	}
	s.samePosition(t, k.position())
}

// fileXAFromBefore: prepared before the position of a start policy, and so unknown.
func fileXAFromBefore(t *testing.T, s *binlogSource) {
	s.prepareXA(t, "'a'", insertSQL("a"))
	s.prepareXA(t, "'b'", insertSQL("b"))
	s.run(t, s.conn(t), "FLUSH BINARY LOGS")
	r := s.reader(t, nil)
	k := stream(t, r, begin(t, r), nil)
	s.decideXA(t, "ROLLBACK", "'b'")
	s.decideXA(t, "COMMIT", "'a'")
	s.insert(t, "end")
	k.untilID(t, "end")
	want(t, "from before", k.ids(), "a", "end")
}

// filePolicies: where to begin, by word and by file:offset.
func filePolicies(t *testing.T, s *binlogSource) {
	s.insert(t, "a")
	place := s.logEnd(t)
	s.insert(t, "b", "end")
	for start, rest := range map[string][]string{binlog.StartSnapshot: {"a", "b", "end"}, binlog.StartEarliest: {"a", "b", "end"}, place: {"b", "end"}} {
		r := s.reader(t, func(c *binlog.Config) { c.Start = start })
		k := stream(t, r, begin(t, r), nil)
		k.untilID(t, "end")
		want(t, start, k.ids(), rest...)
		_ = k.stop()
	}
	file, _, _ := strings.Cut(place, ":")
	for start, words := range map[string][]string{
		"00000000-0000-0000-0000-00000000000a:1-5": {"GTID set", "gtid_mode=OFF", "file:offset"},
		"other.000001:4":   {"no binlog other.000001"},
		file + ":99999999": {"bytes of its binlog"},
	} {
		_, err := s.reader(t, func(c *binlog.Config) { c.Start = start }).Begin(t.Context())
		wantHalt(t, err, nil, words...)
	}
	// In the middle of an event, and between two events of one transaction.
	p := begin(t, s.reader(t, func(c *binlog.Config) { c.Start = place }))
	for offset, word := range map[uint64]string{p.Binlog.Offset + 2: "no event of the binlog begins at", s.secondEvent(t, p.Binlog): "outside of a transaction"} {
		r := s.reader(t, func(c *binlog.Config) { c.Start = fmt.Sprintf("%s:%d", file, offset) })
		stream(t, r, begin(t, r), nil).halted(t, nil, word)
	}
}

// secondEvent is where the second event behind a position begins.
func (s *binlogSource) secondEvent(t *testing.T, p checkpoint.FilePosition) (end uint64) {
	t.Helper()
	var more [5]any
	query := fmt.Sprintf("SHOW BINLOG EVENTS IN '%s' FROM %d LIMIT 1", p.File, p.Offset)
	must(t, s.db.QueryRowContext(t.Context(), query).Scan(&more[0], &more[1], &more[2], &more[3], &end, &more[4]))
	return end
}

// fileCheck: what is lost without GTIDs is told, and which privilege is needed.
func fileCheck(t *testing.T, s *binlogSource) {
	findings, err := s.reader(t, nil).Check(t.Context())
	must(t, err)
	warned := false
	for _, f := range findings {
		if !f.OK {
			t.Errorf("%s", f)
		}
		warned = warned || f.Name == "gtid_mode" && strings.Contains(f.Warning, "fail-over") && f.Detail == "OFF"
	}
	if !warned {
		t.Errorf("no warning in %v", findings)
	}
	findings, err = s.reader(t, func(c *binlog.Config) { c.Start = "00000000-0000-0000-0000-00000000000a:1-5" }).Check(t.Context())
	must(t, err)
	if last := findings[len(findings)-1]; last.OK || last.Name != "start" {
		t.Errorf("a GTID set to start from: %s", last)
	}

	execSQL(t, s.db, "CREATE USER filer@'%' IDENTIFIED BY 'secret'")
	execSQL(t, s.db, "GRANT REPLICATION SLAVE ON *.* TO filer@'%'")
	r := s.reader(t, func(c *binlog.Config) { c.User, c.Password = "filer", "secret" })
	_, err = r.Begin(t.Context())
	wantHalt(t, err, nil, "GRANT REPLICATION CLIENT ON *.* TO 'filer'@'%'")
	execSQL(t, s.db, "GRANT REPLICATION CLIENT ON *.* TO filer@'%'")
	k := stream(t, r, begin(t, r), nil)
	s.insert(t, "a")
	k.untilID(t, "a")
}

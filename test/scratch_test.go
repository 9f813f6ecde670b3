package test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/internal/dbserver"
)

type scratchH struct{ f func(raw []byte) error }

func (h scratchH) HandleEvent(e *replication.BinlogEvent) error { return h.f(e.RawData) }

func scratchDump(t *testing.T, addrPort int, file string, pos uint32) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	t.Logf("---- dump %s:%d", file, pos)
	cfg := replication.BinlogSyncerConfig{Flavor: "mysql", Host: "127.0.0.1", Port: uint16(addrPort), User: "root", ServerID: 99, RawModeEnabled: true,
		HeartbeatPeriod: time.Second, DisableRetrySync: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		SynchronousEventHandler: scratchH{func(raw []byte) error {
			ty := replication.EventType(raw[4])
			extra := ""
			if ty == replication.ROTATE_EVENT {
				extra = fmt.Sprintf("pos %d name %q", binary.LittleEndian.Uint64(raw[19:]), raw[27:])
			}
			t.Logf("%-25s ts %d size %d logpos %d flags %#x %s", ty, binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[9:]), binary.LittleEndian.Uint32(raw[13:]), binary.LittleEndian.Uint16(raw[17:]), extra)
			return nil
		}}}
	s := replication.NewBinlogSyncer(cfg)
	defer s.Close()
	st, err := s.StartSync(mysql.Position{Name: file, Pos: pos})
	if err != nil {
		t.Logf("start: %v", err)
		return
	}
	_, err = st.GetEvent(ctx)
	t.Logf("end: %v", err)
}

func TestScratch(t *testing.T) {
	srv, db := startDB(t, dbserver.Options{Flavor: dbserver.MySQL, Args: []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--tmpdir=" + t.TempDir()}})
	var port int
	fmt.Sscanf(srv.Addr(), "127.0.0.1:%d", &port)
	s := newBinlogSource(t, srv, db, "shop")
	s.insert(t, "a", "b")
	show := func() {
		rows, err := db.Query("SHOW BINARY LOGS")
		must(t, err)
		for rows.Next() {
			var a, b, c string
			must(t, rows.Scan(&a, &b, &c))
			t.Log(a, b, c)
		}
		r := db.QueryRow("SHOW BINARY LOG STATUS")
		var a, b, c, d, e string
		must(t, r.Scan(&a, &b, &c, &d, &e))
		t.Log("status", a, b, e)
	}
	show()
	scratchDump(t, port, "binlog.000001", 4)
	execSQL(t, db, "FLUSH BINARY LOGS")
	s.insert(t, "c")
	execSQL(t, db, "SET GLOBAL binlog_checksum=NONE")
	s.insert(t, "d")
	c := s.conn(t)
	s.run(t, c, "SET SESSION binlog_transaction_compression=ON", insertSQL("e"))
	execSQL(t, db, "SET GLOBAL binlog_checksum=CRC32")
	s.insert(t, "f")
	for _, m := range []string{"OFF_PERMISSIVE", "ON_PERMISSIVE"} {
		execSQL(t, db, "SET GLOBAL gtid_mode="+m)
		s.insert(t, m)
	}
	s.run(t, s.conn(t), "XA START 'x'", insertSQL("x1"), "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'")
	show()
	scratchDump(t, port, "binlog.000001", 4)
	execSQL(t, db, "SET GLOBAL gtid_mode=OFF_PERMISSIVE")
	execSQL(t, db, "SET GLOBAL gtid_mode=OFF")
	scratchDump(t, port, "binlog.000006", 4)
	show()
	// RESET below a live dump
	execSQL(t, db, "RESET BINARY LOGS AND GTIDS")
	for i := range 20 {
		s.insert(t, fmt.Sprint("r", i))
	}
	show()
	done := make(chan bool)
	go func() { defer close(done); scratchDump(t, port, "binlog.000001", 4) }()
	time.Sleep(time.Second)
	execSQL(t, db, "RESET BINARY LOGS AND GTIDS")
	t.Log("reset")
	for i := range 60 {
		s.insert(t, fmt.Sprint("q", i))
	}
	show()
	<-done
}

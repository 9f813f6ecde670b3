package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/prune"
)

// TestHorizonHoldsWhatIsSeen is the claim that pruning stands on: once a row can be
// seen, the horizon that is asked for next is not covered by a position that lacks the
// row's transaction. Many writers commit while rows are looked at; the raw binlog
// tells later which transaction each of them was.
func TestHorizonHoldsWhatIsSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flavor dbserver.Flavor
		args   []string
		file   bool
	}{
		"MySQL":               {dbserver.MySQL, []string{"--sync-binlog=1", "--binlog-order-commits=OFF"}, false},
		"MySQL without GTIDs": {dbserver.MySQL, []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--sync-binlog=1"}, true},
		"MariaDB":             {dbserver.MariaDB, []string{"--sync-binlog=1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.flavor, c.args...)
			l := w.load(6)
			w.xaLoad(l, 2)
			seen := w.look(c.file)
			l.halt()
			w.judge(seen, c.file)
		})
	}
}

// sight is a row that was seen, and the horizon that was asked for then.
type sight struct {
	id string
	h  prune.Horizon
}

// look runs a pruner for which everything is old and nothing is ever in the stream, and
// notes what it selects. Each round selects the rows that the ones before did not.
func (w *world) look(file bool) (seen []sight) {
	known := map[string]bool{}
	at := checkpoint.Position{Flavor: checkpoint.Flavor(w.srv.Flavor())}
	if file {
		at.Binlog = checkpoint.FilePosition{File: "none.000000"}
	}
	p, err := prune.New(prune.Config{
		DB: w.db, Tables: []string{"outbox"}, Keep: time.Microsecond, Patience: time.Nanosecond, Rates: prune.Rates{BatchRows: prune.MaxBatchRows},
		Published: func(context.Context) (checkpoint.Position, error) { return at, nil },
		Verify:    func(context.Context, checkpoint.Position) error { return nil },
		Hooks: prune.Hooks{Selected: func(_ string, ids []string, h prune.Horizon) {
			for _, id := range ids {
				if !known[id] {
					known[id] = true
					seen = append(seen, sight{id, h})
				}
			}
		}},
	})
	must(w.t, err)
	for begun := time.Now(); time.Since(begun) < 3*time.Second || len(seen) < 2000; {
		if _, err := p.Once(w.t.Context()); err != nil && !errors.Is(err, prune.ErrBehind) {
			w.t.Fatal(err)
		}
		if len(known) > 20_000 {
			break
		}
	}
	return seen
}

// xaLoad commits XA transactions beside the others.
func (w *world) xaLoad(l *load, writers int) {
	ctx, cancel := context.WithCancel(w.t.Context())
	stop := l.stop
	l.stop = func() { stop(); cancel() }
	for i := range writers {
		l.wg.Go(func() {
			conn, err := w.db.Conn(w.t.Context())
			if err != nil {
				w.t.Error(err)
				return
			}
			defer conn.Close()
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("xa-%d-%d", i, n)
				for _, q := range []string{"XA START '%[1]s'", "INSERT INTO outbox (id, topic, payload) VALUES ('%[1]s','a','x')", "XA END '%[1]s'", "XA PREPARE '%[1]s'", "XA COMMIT '%[1]s'"} {
					if _, err := conn.ExecContext(w.t.Context(), fmt.Sprintf(q, id)); err != nil {
						w.t.Error(err)
						return
					}
				}
			}
		})
	}
}

// judge compares the horizons with the binlog: none may be covered by the position
// before the transaction of a row that was seen.
func (w *world) judge(seen []sight, file bool) {
	w.t.Helper()
	before := w.positionsBefore(file)
	xa, wrong := 0, 0
	for _, s := range seen {
		p, ok := before[s.id]
		if !ok {
			w.t.Fatalf("row %s is not in the binlog", s.id)
		}
		if s.id[:3] == "xa-" {
			xa++
		}
		if s.h.Lacks(p) == "" {
			wrong++
		}
	}
	if wrong > 0 || xa == 0 {
		w.t.Errorf("%d rows were seen, %d of XA transactions; for %d the horizon did not hold their transaction", len(seen), xa, wrong)
	}
	w.t.Logf("%d rows were seen, %d of them of XA transactions", len(seen), xa)
}

// positionsBefore reads the whole binlog, and returns for each row of the outbox the
// greatest position that does not hold its transaction.
func (w *world) positionsBefore(file bool) map[string]checkpoint.Position {
	w.t.Helper()
	r := &rawReader{w: w, file: file, before: map[string]checkpoint.Position{}, prepared: map[string][]string{}}
	r.all = r.everything()
	r.read()
	return r.before
}

type rawReader struct {
	w    *world
	file bool
	all  checkpoint.GTIDSet // MySQL: the whole history

	before   map[string]checkpoint.Position
	prepared map[string][]string // rows by the GTID-less name of their XA transaction

	ids  []string
	gtid checkpoint.GTID
	last checkpoint.GTIDSet // MariaDB: before the group
	name string             // of the file
	pos  uint32             // where the group begins
}

func (r *rawReader) everything() (set checkpoint.GTIDSet) {
	if r.w.srv.Flavor() == dbserver.MariaDB || r.file {
		return set
	}
	var text string
	must(r.w.t, r.w.db.QueryRowContext(r.w.t.Context(), "SELECT @@GLOBAL.gtid_executed").Scan(&text))
	set, err := checkpoint.ParseGTIDSet(text)
	must(r.w.t, err)
	return set
}

func (r *rawReader) read() {
	w := r.w
	w.exec("FLUSH BINARY LOGS")
	host, port, _ := net.SplitHostPort(w.srv.Addr())
	n, _ := strconv.Atoi(port)
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{ServerID: 4242, Flavor: string(w.srv.Flavor()), Host: host, Port: uint16(n), User: "root",
		DisableRetrySync: true, Logger: slog.New(slog.DiscardHandler)})
	defer syncer.Close()
	streamer, err := syncer.StartSync(mysql.Position{Pos: 4})
	must(w.t, err)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	var last string
	must(w.t, func() error {
		rows, err := w.db.QueryContext(ctx, "SHOW BINARY LOGS")
		if err != nil {
			return err
		}
		defer rows.Close()
		cols, _ := rows.Columns()
		for rows.Next() {
			values := make([]any, len(cols))
			for i := range values {
				values[i] = new(string)
			}
			if err := rows.Scan(values...); err != nil {
				return err
			}
			last = *values[0].(*string)
		}
		return rows.Err()
	}())
	for {
		ev, err := streamer.GetEvent(ctx)
		must(w.t, err)
		if e, ok := ev.Event.(*replication.RotateEvent); ok {
			if r.name = string(e.NextLogName); r.name == last {
				return
			}
			continue
		}
		r.add(ev)
	}
}

func (r *rawReader) add(ev *replication.BinlogEvent) {
	switch e := ev.Event.(type) {
	case *replication.GTIDEvent:
		next, err := e.GTIDNext()
		if err == nil && !r.file {
			r.gtid, err = checkpoint.ParseGTID(next.String())
			must(r.w.t, err)
		}
		r.begin(ev)
	case *replication.MariadbGTIDEvent:
		r.begin(ev)
		r.gtid = checkpoint.GTID{Flavor: checkpoint.MariaDB, Domain: e.GTID.DomainID, Server: e.GTID.ServerID, N: e.GTID.SequenceNumber}
	case *replication.RowsEvent:
		if string(e.Table.Table) == "outbox" {
			for _, row := range e.Rows {
				r.ids = append(r.ids, row[0].(string))
			}
		}
	case *replication.QueryEvent:
		r.query(string(e.Query))
	case *replication.XIDEvent:
		r.end(r.ids)
	case *replication.GenericEvent:
		if ev.Header.EventType == replication.XA_PREPARE_LOG_EVENT {
			r.prepared[r.ids[0]] = r.ids
			r.end(nil)
		}
	}
}

// begin: without GTIDs the position before a group is where it begins.
func (r *rawReader) begin(ev *replication.BinlogEvent) {
	r.ids = nil
	r.pos = ev.Header.LogPos - ev.Header.EventSize
}

func (r *rawReader) query(text string) {
	for id, ids := range r.prepared { // an XA transaction is named by its row
		if text == fmt.Sprintf("XA COMMIT X'%x',X'',1", id) {
			delete(r.prepared, id)
			r.end(ids)
			return
		}
	}
	if text == "COMMIT" {
		r.end(r.ids)
	} else if text != "BEGIN" && len(text) > 0 && !hasPrefix(text, "XA START") && !hasPrefix(text, "XA END") {
		r.end(nil)
	}
}

func hasPrefix(s, p string) bool { return len(s) >= len(p) && s[:len(p)] == p }

// end notes the position before the group for its rows.
func (r *rawReader) end(ids []string) {
	p := checkpoint.Position{Flavor: checkpoint.Flavor(r.w.srv.Flavor())}
	switch {
	case r.file:
		p.Binlog, p.ServerUUID = checkpoint.FilePosition{File: r.name, Offset: uint64(r.pos)}, r.w.uuid()
	case r.w.srv.Flavor() == dbserver.MariaDB:
		p.Resume = r.last.Clone()
		r.last.Add(r.gtid)
	default:
		var it checkpoint.GTIDSet
		it.Add(r.gtid)
		p.Resume = r.all.Minus(it)
	}
	for _, id := range ids {
		r.before[id] = p
	}
	r.ids = nil
}

var uuids sync.Map

func (w *world) uuid() string {
	if v, ok := uuids.Load(w.srv); ok {
		return v.(string)
	}
	var v string
	must(w.t, w.db.QueryRowContext(w.t.Context(), "SELECT @@server_uuid").Scan(&v))
	uuids.Store(w.srv, v)
	return v
}

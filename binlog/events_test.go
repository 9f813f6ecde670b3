package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// shop is the outbox of the logs in testdata, which servers wrote while they ran
// testdata/logs/shapes.sql: MySQL 9.7.4 and MariaDB 11.8.9, with their defaults or as
// the name of the file says.
func shop() *tableSet {
	s := tableSet{by: make(map[string]map[string]bool)}
	s.add(table{"shop", "outbox"})
	return &s
}

// logged is the events in a file of testdata.
func logged(tb testing.TB, file string) (list [][]byte) {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	r := bytes.NewReader(b)
	for {
		raw, err := nextEvent(r)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, raw)
	}
}

func logs(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/logs/*.events")
	if err != nil || len(files) < 8 {
		tb.Fatalf("%d logs, %v", len(files), err)
	}
	return files
}

func flavorOfFile(file string) string {
	if strings.HasPrefix(filepath.Base(file), "mariadb") {
		return flavorName(checkpoint.MariaDB)
	}
	return flavorName(checkpoint.MySQL)
}

// reference has go-mysql's parser decode everything.
type reference struct {
	outer, inner *replication.BinlogParser
	frames       *parser // finds what is inside a compressed transaction
}

func newReference(flavor string) *reference {
	r := &reference{outer: newEventParser(flavor, shop(), false), inner: newEventParser(flavor, shop(), false), frames: newParser(flavor, shop(), false)}
	r.outer.SetVerifyChecksum(true)
	return r
}

func (r *reference) parse(raw []byte, each func(*replication.BinlogEvent) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	if replication.EventType(raw[4]) == replication.TRANSACTION_PAYLOAD_EVENT {
		payload, err := r.frames.payload(raw)
		for err == nil {
			var one []byte
			if one, err = nextEvent(payload); err == nil {
				var ev *replication.BinlogEvent
				if ev, err = r.inner.Parse(one); err == nil {
					err = each(ev)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	ev, err := r.outer.Parse(raw)
	if err != nil {
		return err
	}
	if e, ok := ev.Event.(*replication.FormatDescriptionEvent); ok {
		r.frames.events.crc = e.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32
		if _, err := r.inner.Parse(withoutChecksum(raw)); err != nil {
			return err
		}
	}
	return each(ev)
}

// TestEventsAsGoMySQL: every event of real logs is what go-mysql takes it for, or one
// that nobody needs.
func TestEventsAsGoMySQL(t *testing.T) {
	for _, file := range logs(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			p, ref := newParser(flavorOfFile(file), shop(), false), newReference(flavorOfFile(file))
			defer p.close()
			defer ref.frames.close()
			kept, read := 0, 0
			for _, raw := range logged(t, file) {
				var want []*replication.BinlogEvent
				before := bytes.Clone(raw)
				collect := func(ev *replication.BinlogEvent) error {
					read++
					if needed(ev) {
						want = append(want, ev)
					}
					return nil
				}
				if err := ref.parse(raw, collect); err != nil {
					t.Fatal(err)
				}
				err := p.parse(raw, func(ev *replication.BinlogEvent) error {
					if len(want) == 0 {
						t.Fatalf("%s is handed out", ev.Header.EventType)
					}
					sameEvent(t, ev, want[0])
					kept, want = kept+1, want[1:]
					return nil
				})
				if err != nil || len(want) > 0 || !bytes.Equal(raw, before) {
					t.Fatalf("%v; %d events are missing; unchanged: %v", err, len(want), bytes.Equal(raw, before))
				}
			}
			if kept < 70 || read-kept < 30 {
				t.Errorf("of %d events %d were handed out", read, kept)
			}
		})
	}
}

// needed: it is no TABLE_MAP, no statement of rows, and no rows of another table.
func needed(ev *replication.BinlogEvent) bool {
	rows, ok := ev.Event.(*replication.RowsEvent)
	if ok {
		return rows.Table != nil && shop().has(rows.Table.Schema, rows.Table.Table)
	}
	return ev.Header.EventType != replication.TABLE_MAP_EVENT && ev.Header.EventType != replication.MARIADB_ANNOTATE_ROWS_EVENT
}

// sameEvent compares an event with that of go-mysql's parser.
func sameEvent(t *testing.T, got, want *replication.BinlogEvent) {
	t.Helper()
	if !reflect.DeepEqual(got.Header, want.Header) || !bytes.Equal(got.RawData, want.RawData) {
		t.Fatalf("header %+v, want %+v", got.Header, want.Header)
	}
	rows, ok := want.Event.(*replication.RowsEvent)
	if !ok {
		if !reflect.DeepEqual(got.Event, want.Event) {
			t.Fatalf("%s %+v, want %+v", want.Header.EventType, got.Event, want.Event)
		}
		return
	}
	e, ok := got.Event.(*replication.RowsEvent)
	if !ok {
		var err error
		if e, err = got.Event.(*images).decoded(); err != nil {
			t.Fatal(err)
		}
	}
	if e.Flags|replication.RowsEventStmtEndFlag != rows.Flags|replication.RowsEventStmtEndFlag || e.TableID != rows.TableID ||
		!reflect.DeepEqual(e.Table, rows.Table) || !reflect.DeepEqual(e.Rows, rows.Rows) || !reflect.DeepEqual(e.SkippedColumns, rows.SkippedColumns) {
		t.Fatalf("%s %+v, want %+v", want.Header.EventType, e, rows)
	}
}

// TestBrokenEvents: an event of a real log that is changed, and nearly always bears the right
// checksum, leads to what it leads to when go-mysql decodes everything: the same
// transactions, or a halt. Only what is wrong with rows of other tables is not looked at,
// and a TABLE_MAP that is cut short halts where go-mysql takes the checksum for its end.
func TestBrokenEvents(t *testing.T) {
	for _, file := range logs(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raws, dice := logged(t, file), rand.New(rand.NewPCG(1, 2))
			halts := 0
			for i := 1; i < len(raws); i++ {
				from, to := i, min(i+6, len(raws))
				for from > 1 && from > i-14 {
					from--
				}
				if !cheap(replication.EventType(raws[i][4])) {
					continue
				}
				for range 4 {
					list := slices.Clone(raws[from:to])
					list[i-from] = broken(raws[i], dice, !strings.Contains(file, "nochecksum"))
					got, err := groupsOf(newParser(flavorOfFile(file), shop(), false).parse, inTurn(append(raws[:1:1], list...)...))
					want, wantErr := groupsOf(newReference(flavorOfFile(file)).parse, inTurn(append(raws[:1:1], list...)...))
					if wantErr != nil {
						halts++
					}
					kind := replication.EventType(list[i-from][4])
					if kind == replication.TABLE_MAP_EVENT && errors.Is(err, errShort) {
						continue
					}
					passed := isRows(kind) && err == nil && wantErr != nil && // of another table
						!strings.Contains(wantErr.Error(), "checksum") && !strings.Contains(wantErr.Error(), "data size")
					if !passed && ((err != nil) != (wantErr != nil) || !slices.Equal(got, want)) {
						t.Fatalf("event %d, %x:\ngot %v, %v\nwant %v, %v", i, list[i-from], got, err, want, wantErr)
					}
				}
			}
			if halts < 10 {
				t.Errorf("only %d halts", halts)
			}
		})
	}
}

// cheap: go-mysql's parser is not all that decodes it. Of others it may make room for
// any size that it is told.
func cheap(kind replication.EventType) bool {
	switch kind {
	case replication.GTID_EVENT, replication.ANONYMOUS_GTID_EVENT, replication.MARIADB_GTID_EVENT, replication.QUERY_EVENT,
		replication.XID_EVENT, replication.TABLE_MAP_EVENT:
		return true
	}
	return isRows(kind) && kind < replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1
}

// TestKeptTables: of any number of tables a bounded number is kept.
func TestKeptTables(t *testing.T) {
	p := newParser(flavorName(checkpoint.MySQL), shop(), false)
	rows := 0
	read := func(raw []byte) {
		t.Helper()
		err := p.parse(raw, func(ev *replication.BinlogEvent) error {
			if e, ok := ev.Event.(*images); ok {
				all, err := e.decoded()
				if err != nil {
					return err
				}
				rows += len(all.Rows)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read(rawEvent(t, rawFormat))
	tables, body := unhex(t, mysqlTableMap), unhex(t, mysqlRows)
	for n := range 10_000 {
		binary.LittleEndian.PutUint32(tables, uint32(n))
		binary.LittleEndian.PutUint32(body, uint32(n))
		read(framed(replication.TABLE_MAP_EVENT, tables))
		read(framed(replication.WRITE_ROWS_EVENTv2, body))
		if e := p.events; e.held > maxMaps+1000 || len(e.maps) > 4000 {
			t.Fatalf("%d tables of %d bytes are kept", len(e.maps), e.held)
		}
	}
	if rows != 20_000 {
		t.Errorf("read %d rows", rows)
	}
}

// TestInflatedSize: MariaDB's compressed events may not say that they inflate to anything.
func TestInflatedSize(t *testing.T) {
	none := func(*replication.BinlogEvent) error { return nil }
	seen := make(map[replication.EventType]bool)
	raws := logged(t, "testdata/logs/mariadb-compressed.events")
	for i, raw := range raws {
		kind := replication.EventType(raw[4])
		data := compressed(kind, raw[replication.EventHeaderSize:len(raw)-replication.BinlogChecksumLength])
		if data == nil {
			continue
		}
		p := newParser(flavorName(checkpoint.MariaDB), shop(), false)
		for _, before := range raws[:i] {
			if err := p.parse(before, none); err != nil {
				t.Fatal(err)
			}
		}
		lying := bytes.Clone(raw)
		at := len(raw) - replication.BinlogChecksumLength - len(data)
		lying[at] = lying[at]&^7 | 5 // the size takes what follows it for more of its digits
		err := p.parse(sealed(lying), none)
		seen[kind] = seen[kind] || err != nil && strings.Contains(err.Error(), "can't be inflated")
	}
	for _, kind := range []replication.EventType{replication.MARIADB_QUERY_COMPRESSED_EVENT, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1} {
		if !seen[kind] {
			t.Errorf("a lying %s does not halt", kind)
		}
	}
}

// broken is raw, cut short or with other bytes; mostly its size and its checksum are right.
func broken(raw []byte, dice *rand.Rand, sums bool) []byte {
	raw = bytes.Clone(raw)
	if sums {
		raw = raw[:len(raw)-replication.BinlogChecksumLength]
	}
	if dice.IntN(3) == 0 {
		raw = raw[:replication.EventHeaderSize+dice.IntN(len(raw)-replication.EventHeaderSize+1)]
	} else {
		for range 1 + dice.IntN(3) {
			raw[replication.EventHeaderSize+dice.IntN(len(raw)-replication.EventHeaderSize)] = byte(dice.Uint32())
		}
	}
	if sums {
		raw = append(raw, 0, 0, 0, 0)
	}
	if dice.IntN(6) > 0 {
		binary.LittleEndian.PutUint32(raw[9:], uint32(len(raw)))
	}
	if sums && dice.IntN(12) > 0 {
		raw = sealed(raw)
	}
	return slices.Clip(raw)
}

// groupsOf is what becomes of events, as it is once all of them were read, and the error
// that ends it.
func groupsOf(parse func([]byte, func(*replication.BinlogEvent) error) error, events iter.Seq2[[]byte, error]) (texts []string, err error) {
	a := &assembler{tables: shop(), decode: newDecoder(newMapping(Config{}.withDefaults())), limit: 1 << 20, at: newCursor(checkpoint.FilePosition{})}
	var groups []group
	for raw, failed := range events {
		if err = failed; err == nil {
			err = parse(raw, func(ev *replication.BinlogEvent) error {
				g, err := a.add(ev)
				if g != nil {
					groups = append(groups, *g)
				}
				return err
			})
		}
		if err != nil {
			break
		}
	}
	for _, g := range groups {
		texts = append(texts, fmt.Sprint(g.gtid, g.committed, g.rows, g.messages, len(g.invalid), g.decided))
	}
	return texts, err
}

// inTurn is events that are all there.
func inTurn(events ...[]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, raw := range events {
			if !yield(raw, nil) {
				return
			}
		}
	}
}

// TestGTIDListOfAnySize: no room is made for GTIDs that a list has not.
func TestGTIDListOfAnySize(t *testing.T) {
	list := make([]byte, 4+2*16)
	for count, ok := range map[byte]bool{0: true, 2: true, 3: false} {
		if list[0] = count; (listed(list) == nil) != ok {
			t.Errorf("%d GTIDs in %d bytes: %v", count, len(list), listed(list))
		}
	}
	list[3] = 0xf0 // flags
	if list[0] = 2; listed(list) != nil {
		t.Error("flags are taken for a count")
	}
}

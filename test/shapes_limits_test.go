package test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/deadletter"
)

// What the relay keeps free of a message for the headers of its batch, and what
// the broker takes of the headers of one that may become a dead letter.
const (
	batchHeaders = 160
	mostHeaders  = 64<<10 - 1 - batchHeaders - deadletter.Room
)

// shapesLargest: rows one byte around the largest that the broker takes, as whole
// messages, by the stream's own limit, and in their headers. The largest that fits
// is published, the next one lies in the dead-letter stream, and nothing stops.
func shapesLargest(t *testing.T, w *cmdWorld) {
	w.init(t)
	digits := w.sameLength(t)
	d := w.start(t, nil)
	w.padded(t, w.one("first", 1)) // perhaps as a row of the snapshot
	d.published(t, w, 1)
	w.padded(t, w.one("probe", 1))
	d.published(t, w, 2)
	headers := w.headerSize(t, "probe")

	most := int(w.nc.MaxPayload()) - batchHeaders - deadletter.Room - headers
	w.padded(t, w.one("l-one", most-1))
	w.padded(t, w.one("l-all", most))
	w.padded(t, w.one("l-big", most+1))
	w.padded(t, w.one("t-all", most), w.one("t-big", most+1), w.one("t-sml", 5), w.one("t-one", most-1))
	w.padded(t, w.one("l-end", 1))
	d.published(t, w, 8)
	if code := d.stop(t); code != 0 {
		t.Fatalf("exit %d: %s", code, d.text())
	}

	// The stream's limit is a smaller one, and headers have one of their own.
	s, err := w.js.Stream(t.Context(), binjet.DefaultStream)
	must(t, err)
	cfg := s.CachedInfo().Config
	cfg.MaxMsgSize = 100_000
	_, err = w.js.UpdateStream(t.Context(), cfg)
	must(t, err)
	d = w.start(t, nil)
	most = 100_000 - batchHeaders - headers
	w.padded(t, w.one("m-all", most), w.one("m-big", most+1))
	room := mostHeaders - headers - len("X-Pad: \r\n")
	w.padded(t, fmt.Sprintf("('h-all','t',CONCAT('{\"X-Pad\":\"',REPEAT('h',%d),'\"}'),'x')", room), fmt.Sprintf("('h-big','t',CONCAT('{\"X-Pad\":\"',REPEAT('h',%d),'\"}'),'x')", room+1))
	w.padded(t, w.one("m-end", 1))
	d.published(t, w, 3)
	if code := d.stop(t); code != 0 {
		t.Fatalf("exit %d: %s", code, d.text())
	}
	if n := w.number(t); len(strconv.Itoa(n)) != digits {
		t.Fatalf("number %d is longer than %d digits: the sizes were not what they say", n, digits)
	}

	want := []string{"first", "probe", "l-one", "l-all", "t-all", "t-sml", "t-one", "l-end", "m-all", "h-all", "m-end"}
	if got := w.streamIDs(t); !slices.Equal(got, want) {
		t.Errorf("the stream holds %v, want %v", got, want)
	}
	w.deadLetters(t, map[string]int{"l-big": 1, "t-big": 1, "m-big": 2, "h-big": 2})
}

// one is a row whose payload is its ID, padded to a size.
func (w *cmdWorld) one(id string, size int) string {
	return fmt.Sprintf("('%s','t',NULL,RPAD('%s',%d,'.'))", id, id, size)
}

func (w *cmdWorld) padded(t *testing.T, rows ...string) {
	t.Helper()
	execSQL(t, w.db, "INSERT INTO "+w.schema+".outbox (id,topic,headers,payload) VALUES "+strings.Join(rows, ","))
}

// number is that of the server's own last transaction. Other tests may have left
// some of other servers.
func (w *cmdWorld) number(t *testing.T) int {
	t.Helper()
	variable, own := "gtid_binlog_pos", `(?:^|,)0-1-(\d+)`
	if w.srv.Flavor() == dbserver.MySQL {
		variable, own = "gtid_executed", querySQL(t, w.db, "SELECT @@server_uuid")+`:1-(\d+)`
	}
	set := querySQL(t, w.db, "SELECT @@GLOBAL."+variable)
	found := regexp.MustCompile(own).FindStringSubmatch(set)
	if found == nil {
		t.Fatalf("no number of the server's own in %q", set)
	}
	n, err := strconv.Atoi(found[1])
	must(t, err)
	return n
}

// sameLength commits until the next hundred numbers have the same length in each
// header, and returns that length.
func (w *cmdWorld) sameLength(t *testing.T) int {
	t.Helper()
	for range 200 {
		execSQL(t, w.db, "CREATE OR REPLACE VIEW "+w.schema+".v AS SELECT 1")
		if n := w.number(t); len(strconv.Itoa(n)) == len(strconv.Itoa(n+100)) {
			return len(strconv.Itoa(n))
		}
	}
	t.Fatal("the server's numbers do not grow")
	return 0
}

// headerSize is what the headers of an event take on the wire, without those of the
// broker: of its batch, and of the answer that brings it here.
func (w *cmdWorld) headerSize(t *testing.T, id string) int {
	t.Helper()
	msg := w.event(t, id)
	h := nats.Header{}
	for name, values := range msg.Header {
		if !strings.HasPrefix(name, "Nats-") {
			h[name] = values
		}
	}
	return (&nats.Msg{Header: h}).Size()
}

// event is the event of a row.
func (w *cmdWorld) event(t *testing.T, id string) *jetstream.RawStreamMsg {
	t.Helper()
	for _, msg := range w.messages(t, binjet.DefaultStream) {
		if msg.Header.Get(binjet.HeaderID) == id {
			return msg
		}
	}
	t.Fatalf("no event %s", id)
	return nil
}

// deadLetters wants rows in so many parts each, which together are the row.
func (w *cmdWorld) deadLetters(t *testing.T, want map[string]int) {
	t.Helper()
	parts := make(map[string]int)
	payloads := make(map[string]string)
	for _, msg := range w.messages(t, binjet.DefaultStream+"_DLQ") {
		id := msg.Header.Get(binjet.HeaderID)
		parts[id]++
		if part := msg.Header.Get(binjet.HeaderDeadPart); strings.HasPrefix(part, "headers ") {
			if !strings.Contains(string(msg.Data), strings.Repeat("h", 60_000)) {
				t.Errorf("the headers of %s lie there as %.100s", id, msg.Data)
			}
			continue
		}
		payloads[id] += string(msg.Data)
	}
	for id, n := range want {
		stored := querySQL(t, w.db, "SELECT payload FROM "+w.schema+".outbox WHERE id='"+id+"'")
		if parts[id] != n || payloads[id] != stored {
			t.Errorf("%s lies in %d parts with %d bytes, want %d and %d", id, parts[id], len(payloads[id]), n, len(stored))
		}
	}
	if len(parts) != len(want) {
		t.Errorf("dead letters: %v, want %v", parts, want)
	}
}

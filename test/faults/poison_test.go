package faults

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
)

// poison are rows that plain SQL can insert and no broker takes, by ID: the
// statement's values, and words of the reason.
var poison = map[string][2]string{
	"bad-topic":   {"'no topic', NULL, NULL, 'x'", "topic"},
	"bad-headers": {"'t', NULL, '{\"a\": 1}', 'x'", "header"},
	"bad-json":    {"'t', NULL, 'garbage', 'x'", "headers column"},
	"bad-name":    {"'t', NULL, '{\"Nats-Rollup\": \"all\"}', 'x'", "reserved"},
	"bad-key":     {"'t', 'a\\nb', NULL, 'x'", "key"},
	"bad-ttl":     {"'t', NULL, '{\"Nats-TTL\": \"soon\"}', 'x'", "Nats-TTL"},
	"too-large":   {"'t', NULL, NULL, REPEAT('x', 2500000)", "max_payload"},
}

// TestPoisonRows: rows that can't be published lie in the dead-letter stream,
// all others in the stream, whether they are read from a snapshot, from the
// binlog, or in a transaction too large to hold; also when the streamer is killed.
func TestPoisonRows(t *testing.T) {
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor, "BINJET_SOURCE_START=snapshot", "BINJET_SOURCE_MAX_TRANSACTION_BYTES=1MiB")
		nc := w.nats.Connect(t)
		var good, bad []string
		insert := func(suffix string, each int) {
			for _, id := range w.poison(suffix, each) {
				if strings.HasPrefix(id, "good") {
					good = append(good, id)
				} else {
					bad = append(bad, id)
				}
			}
		}
		insert("-snapshot", 1)
		p := w.start()
		eventually(t, "the rows of the snapshot", func() bool { return count(nc) >= uint64(len(good)) })
		insert("-small", 1)
		p.kill()
		p = w.start()
		insert("-large", 1500) // more than a batch, and more than is held
		eventually(t, "all good rows", func() bool { return count(nc) >= uint64(len(good)) })
		if code := p.stop(t); code != 0 {
			t.Fatalf("a clean stop ended with code %d:\n%s", code, tail(p.log))
		}
		var got []string
		for _, e := range readStream(t, nc) {
			got = append(got, e.id)
		}
		slices.Sort(got) // the snapshot comes in the order of IDs
		slices.Sort(good)
		if !slices.Equal(got, good) {
			t.Fatalf("%d events in the stream, want %d", len(got), len(good))
		}
		dead := readDead(t, nc)
		slices.Sort(bad)
		for _, id := range bad {
			name, _, _ := strings.Cut(id, ":")
			if reason := dead[id]; !strings.Contains(reason, poison[name][1]) {
				t.Errorf("%s lies in the dead-letter stream because of %q, want %q", id, reason, poison[name][1])
			}
		}
		if len(dead) != len(bad) {
			t.Errorf("%d dead letters, want %d", len(dead), len(bad))
		}
	})
}

// poison inserts every kind of bad row in one transaction, each behind some
// good ones, and returns all IDs.
func (w *world) poison(suffix string, good int) (ids []string) {
	w.t.Helper()
	out, err := producer.New(producer.Config{})
	must(w.t, err)
	must(w.t, producer.InTx(w.t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
		for name, row := range poison {
			msgs := make([]*binjet.Message, good)
			for i := range msgs {
				msgs[i] = &binjet.Message{ID: fmt.Sprintf("good-%s-%05d%s", name, i, suffix), Topic: "t", Payload: make([]byte, 300)}
				ids = append(ids, msgs[i].ID)
			}
			if err := out.Insert(ctx, tx, msgs...); err != nil {
				return err
			}
			id := name + ":" + suffix
			ids = append(ids, id)
			if _, err := tx.ExecContext(ctx, "INSERT INTO outbox (id, topic, message_key, headers, payload) VALUES (?, "+row[0]+")", id); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
		}
		return nil
	}))
	return ids
}

// readDead returns the reason of each dead letter by message ID.
func readDead(t *testing.T, nc *nats.Conn) map[string]string {
	t.Helper()
	js, err := jetstream.New(nc)
	must(t, err)
	s, err := js.Stream(t.Context(), "OUTBOX_DLQ")
	must(t, err)
	info, err := s.Info(t.Context())
	must(t, err)
	dead := map[string]string{}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		msg, err := s.GetMsg(t.Context(), seq)
		must(t, err)
		if !strings.HasPrefix(msg.Subject, "dlq.OUTBOX.shop.") {
			t.Errorf("a dead letter lies on %s", msg.Subject)
		}
		dead[msg.Header.Get(binjet.HeaderID)] = msg.Header.Get(binjet.HeaderDeadReason)
	}
	return dead
}

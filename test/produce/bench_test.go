package produce

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/test/internal/testdb"
)

// BenchmarkInsert compares Insert with the same statement written by hand, on real
// servers: sent as text with placeholders (two round trips), with parameters put
// into the text by the driver (one), and kept prepared (one). Both take turns
// within one transaction, and their medians are compared: "ratio" is what Insert
// costs, for each µs of the hand-written one.
//
//	go test -run - -bench Insert ./produce
func BenchmarkInsert(b *testing.B) {
	for _, flavor := range testdb.Flavors() {
		b.Run(flavor.String(), func(b *testing.B) {
			s := testdb.Shared(b, flavor)
			for _, how := range []string{"text", "interpolated", "prepared"} {
				params := ""
				if how == "interpolated" {
					params = "?interpolateParams=true"
				}
				db := testdb.Open(b, schema(b, s, params))
				for _, n := range []int{1, 10, 100, 1000} {
					b.Run(fmt.Sprintf("%s/%d", how, n), func(b *testing.B) { compare(b, db, how == "prepared", n) })
				}
			}
		})
	}
}

type way func(ctx context.Context, tx *sql.Tx) error

func compare(b *testing.B, db *sql.DB, prepared bool, n int) {
	ways := [2]way{byInsert(b, db, prepared, n), byHand(b, db, prepared, n)}
	var took [2][]time.Duration
	for round := 0; b.Loop(); round++ {
		tx, err := db.BeginTx(b.Context(), nil)
		must(b, err)
		for turn := range max(8, 200/n) {
			who := (round + turn) % 2
			begun := time.Now()
			must(b, ways[who](b.Context(), tx))
			took[who] = append(took[who], time.Since(begun))
		}
		must(b, tx.Rollback())
	}
	insert, hand := median(took[0]), median(took[1])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(insert)/1000, "µs/Insert")
	b.ReportMetric(float64(hand)/1000, "µs/by-hand")
	b.ReportMetric(float64(insert)/float64(hand), "ratio")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func byInsert(b *testing.B, db *sql.DB, prepared bool, n int) way {
	p := newProducer(b, producer.Config{})
	if prepared {
		kept, err := p.Prepare(b.Context(), db, n)
		must(b, err)
		b.Cleanup(func() { _ = kept.Close() })
		p = kept
	}
	payload := []byte(strings.Repeat("x", 256))
	return func(ctx context.Context, tx *sql.Tx) error {
		msgs := make([]*binjet.Message, n)
		for i := range msgs {
			msgs[i] = &binjet.Message{Topic: "orders.created", Key: "order-4711", ContentType: "application/json", Payload: payload}
		}
		return p.Insert(ctx, tx, msgs...)
	}
}

// byHand is what one would write without a library: no checks, the headers a
// constant, the statement made once.
func byHand(b *testing.B, db *sql.DB, prepared bool, n int) way {
	text := "INSERT INTO outbox (id, topic, message_key, headers, payload) VALUES (?,?,?,?,?)" + strings.Repeat(",(?,?,?,?,?)", n-1)
	headers := []byte(`{"Content-Type":"application/json"}`)
	payload := []byte(strings.Repeat("x", 256))
	args := func() []any {
		args := make([]any, 0, n*5)
		for range n {
			args = append(args, uuid.Must(uuid.NewV7()).String(), "orders.created", "order-4711", headers, payload)
		}
		return args
	}
	if !prepared {
		return func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, text, args()...)
			return err
		}
	}
	stmt, err := db.PrepareContext(b.Context(), text)
	must(b, err)
	b.Cleanup(func() { _ = stmt.Close() })
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, args()...)
		return err
	}
}

package producer

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/binjet/binjet"
)

type null struct{}

func (null) ExecContext(context.Context, string, ...any) (sql.Result, error) { return nil, nil }

func BenchmarkInsert(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := mustNew(b, Config{})
			msgs := make([]*binjet.Message, n)
			for i := range msgs {
				msgs[i] = &binjet.Message{Topic: "orders.created", Key: "order-4711", ContentType: "application/json", Payload: make([]byte, 256)}
			}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				for _, m := range msgs {
					m.ID = ""
				}
				if err := p.Insert(ctx, null{}, msgs...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUUIDv7(b *testing.B) {
	g := new(uuidv7)
	b.ReportAllocs()
	for b.Loop() {
		_ = g.several(1)
	}
}

package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/internal/natstest"
)

func BenchmarkHandle(b *testing.B) {
	for _, room := range [][2]int{{1, 1}, {1, 64}, {16, 16}} {
		b.Run(fmt.Sprintf("concurrency=%d,prefetch=%d", room[0], room[1]), func(b *testing.B) {
			js, err := jetstream.New(natstest.Start(b).Connect(b))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>"}}); err != nil {
				b.Fatal(err)
			}
			for i := range b.N {
				m := nats.NewMsg("outbox.a")
				m.Header.Set(binjet.HeaderID, fmt.Sprint(i))
				m.Data = make([]byte, 256)
				if _, err := js.PublishMsgAsync(m); err != nil {
					b.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			ctx, cancel := context.WithCancel(b.Context())
			cfg := consumer.Config{Name: "c", Concurrency: room[0], Prefetch: room[1], Logger: slog.New(slog.DiscardHandler)}
			left := make(chan struct{}, b.N)
			cfg.Hooks.AfterSettle = func(*consumer.Message, consumer.Outcome) { left <- struct{}{} }
			c, err := consumer.New(js, cfg)
			if err != nil {
				b.Fatal(err)
			}
			c.Handle(">", nothing)
			done := make(chan error, 1)
			b.ResetTimer()
			go func() { done <- c.Run(ctx) }()
			for range b.N {
				<-left
			}
			b.StopTimer()
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

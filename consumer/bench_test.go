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
			benchHandle(b, 0, consumer.Config{Concurrency: room[0], Prefetch: room[1]})
		})
	}
	for _, partitions := range []int{0, 8} {
		b.Run(fmt.Sprintf("by_key,partitions=%d", partitions), func(b *testing.B) {
			benchHandle(b, partitions, consumer.Config{Ordered: consumer.ByKey, Concurrency: 16})
		})
	}
}

func benchHandle(b *testing.B, partitions int, cfg consumer.Config) {
	js, err := jetstream.New(natstest.Start(b).Connect(b))
	if err != nil {
		b.Fatal(err)
	}
	metadata := map[string]string{binjet.MetadataPartitions: fmt.Sprint(partitions)}
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>"}, Metadata: metadata}); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		key := fmt.Sprint("key", i%1000)
		m := nats.NewMsg(binjet.Subject("outbox", "a", key, partitions))
		m.Header.Set(binjet.HeaderID, fmt.Sprint(i))
		m.Header.Set(binjet.HeaderKey, key)
		m.Data = make([]byte, 256)
		if _, err := js.PublishMsgAsync(m); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	ctx, cancel := context.WithCancel(b.Context())
	cfg.Name, cfg.Logger = "c", slog.New(slog.DiscardHandler)
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
}

package relay

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/natstest"
)

func TestStreamIsJudged(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	js, _ := jetstream.New(nc)
	good := func() jetstream.StreamConfig {
		r, err := New(Config{Source: newFakeSource(), Conn: nc, Name: "shop", Manage: true})
		if err != nil {
			t.Fatal(err)
		}
		return r.streamConfig()
	}
	tests := []struct {
		name   string
		change func(*jetstream.StreamConfig)
		want   string // "" when it is fine
	}{
		{"made by binjet", func(*jetstream.StreamConfig) {}, ""},
		{"made by binjet for another source", func(c *jetstream.StreamConfig) { c.Subjects[1] = "binjet.checkpoint.other" }, ""},
		{"interest retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, "retention"},
		{"work queue", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, "retention"},
		{"no atomic publish", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }, "allow_atomic"},
		{"no expiry", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = false }, "allow_msg_ttl"},
		{"no rollup", func(c *jetstream.StreamConfig) { c.AllowRollup = false }, "allow_rollup"},
		{"somebody else's", func(c *jetstream.StreamConfig) { c.Subjects = []string{"logs.>"}; c.Metadata = nil }, "belongs to something else"},
		{"other partitions", func(c *jetstream.StreamConfig) { c.Metadata[binjet.MetadataPartitions] = "4" }, "partitions"},
		{"last value only", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "max_msgs_per_subject"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good()
			tt.change(&cfg)
			if _, err := js.CreateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = js.DeleteStream(context.Background(), cfg.Name) }()
			r, err := New(Config{Source: newFakeSource(), Conn: nc, Name: "shop", Manage: true})
			if err != nil {
				t.Fatal(err)
			}
			err = r.Prepare(t.Context())
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refused *StreamError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("err = %v, want it to name %s", err, tt.want)
			}
		})
	}
}

package test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

// published waits until the process has published n events.
func (d *cmdDaemon) published(t *testing.T, w *cmdWorld, n int) {
	t.Helper()
	d.eventually(t, "/metrics", 200, fmt.Sprintf("\nbinjet_events_published_total{source=%q} %d\n", w.schema, n))
}

// messages are what a stream holds, in its order.
func (w *cmdWorld) messages(t *testing.T, stream string) (list []*jetstream.RawStreamMsg) {
	t.Helper()
	s, err := w.js.Stream(t.Context(), stream)
	must(t, err)
	info, err := s.Info(t.Context())
	must(t, err)
	for seq := max(1, info.State.FirstSeq); seq <= info.State.LastSeq; seq++ {
		msg, err := s.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) { // a checkpoint that is rolled up
			continue
		}
		must(t, err)
		list = append(list, msg)
	}
	return list
}

// streamIDs are the IDs of the events in the stream, in its order.
func (w *cmdWorld) streamIDs(t *testing.T) (ids []string) {
	t.Helper()
	for _, msg := range w.messages(t, binjet.DefaultStream) {
		if id := msg.Header.Get(binjet.HeaderID); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

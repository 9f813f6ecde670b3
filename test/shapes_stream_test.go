package test

import (
	"testing"

	"github.com/binjet/binjet"
)

// streamIDs are the IDs of the events in the stream, in its order.
func (w *cmdWorld) streamIDs(t *testing.T) (ids []string) {
	t.Helper()
	s, err := w.js.Stream(t.Context(), binjet.DefaultStream)
	must(t, err)
	info, err := s.Info(t.Context())
	must(t, err)
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		msg, err := s.GetMsg(t.Context(), seq)
		if err != nil { // rolled up
			continue
		}
		if id := msg.Header.Get(binjet.HeaderID); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

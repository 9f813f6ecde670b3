package relay

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// TestWorthStaging: small batches go to the broker at once, more of a large one in chunks
// while the commit before it is under way.
func TestWorthStaging(t *testing.T) {
	for _, tt := range []struct {
		held, staged int
		flight       bool
		want         bool
	}{
		{1, 0, true, true}, {stageAtOnce - 1, stageAtOnce - 2, true, true},
		{stageAtOnce, 0, true, true}, {stageAtOnce, stageAtOnce - 1, true, false},
		{900, 900 - stageAtOnce + 1, true, false}, {900, 900 - stageAtOnce, true, true},
		{900, 899, false, true},
	} {
		s := &session{open: &batch{msgs: make([]*nats.Msg, tt.held), staged: tt.staged}}
		if tt.flight {
			s.flight = &write{}
		}
		if got := s.worthStaging(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

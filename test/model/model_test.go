package model

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
)

var deep = flag.Bool("deep", false, "also go through worlds with several faults, some minutes long")

// worlds are bounds that are each gone through to the end.
func worlds() []faults {
	list := []faults{
		{takeOvers: 3},
		{takeOvers: 1, timeouts: 1},
		{takeOvers: 1, crashes: 1},
		{takeOvers: 1, lies: 1, twice: 1},
		{timeouts: 1, torn: 1},
		{takeOvers: 1, tailLosses: 1},
	}
	if *deep {
		list = append(list,
			faults{takeOvers: 1, timeouts: 1, torn: 1},
			faults{takeOvers: 1, tailLosses: 1, stale: 1},
			faults{takeOvers: 2, tailLosses: 1},
			faults{takeOvers: 2, timeouts: 1, crashes: 1},
			faults{takeOvers: 1, timeouts: 1, torn: 1, crashes: 1},
			faults{takeOvers: 1, timeouts: 2, lies: 1},
			faults{takeOvers: 1, tailLosses: 1, timeouts: 1},
			faults{takeOvers: 1, tailLosses: 1, torn: 1},
			faults{takeOvers: 2, tailLosses: 1, beats: 1},
		)
	}
	return list
}

// TestProtocol: the protocol of package relay keeps the invariants in every state.
func TestProtocol(t *testing.T) {
	for _, f := range worlds() {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			states, err := protocol{}.check(f)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d states", states)
		})
	}
}

// TestUnsafe: what is known to be unsafe breaks an invariant of the model, and the
// one that it should.
func TestUnsafe(t *testing.T) {
	for name, test := range map[string]struct {
		protocol
		faults
		breaks string
	}{
		"commits without an expectation":           {protocol{noExpectation: true}, faults{takeOvers: 1}, "I3: epoch 1"},
		"the position before the events":           {protocol{recordThenEvents: true}, faults{}, "I2: the checkpoint"},
		"an absent batch sent again without fence": {protocol{resendUnfenced: true}, faults{timeouts: 1, torn: 1}, "I1: event 1 where"},
		"a refusal taken at its word":              {protocol{refusalIsFinal: true}, faults{lies: 1}, "I1: event 1 where"},
		"strays looked for before the fence":       {protocol{scanBeforeFence: true}, faults{takeOvers: 1, torn: 1}, "I1: event 1 where"},
		"strays not looked for":                    {protocol{noScan: true}, faults{tailLosses: 1}, "I1: event 1 where"},
		"resumed one event too late":               {protocol{resumeOneTooLate: true}, faults{}, "I1: event 2 where 1"},
		"an expectation kept over a reconnect":     {protocol{trustTheSequence: true}, faults{takeOvers: 2, tailLosses: 1}, "I3: epoch"},
		"each event expects the stream's end":      {protocol{pipelined: true}, faults{takeOvers: 1}, "I1: event 2 where 1"},
		"a lone event that a read does not show":   {protocol{lone: true}, faults{timeouts: 1}, "I1: event 1 where 2"},
	} {
		t.Run(name, func(t *testing.T) {
			states, err := test.check(test.faults)
			var v *Violation
			if !errors.As(err, &v) || !strings.HasPrefix(v.What, test.breaks) {
				t.Fatalf("%d states, and %q does not break in them: %v", states, test.breaks, err)
			}
			t.Logf("%d states: %v", states, err)
		})
	}
}

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

// loneWorlds are those with events by themselves, which makes each much larger.
func loneWorlds() []faults {
	list := []faults{
		{takeOvers: 2, source: 2},
		{takeOvers: 1, timeouts: 1, source: 2},
		{takeOvers: 1, crashes: 1, source: 2},
		{takeOvers: 1, lies: 1, twice: 1, source: 2},
		{timeouts: 1, torn: 1},
		{takeOvers: 1, tailLosses: 1, source: 2},
		{unseen: 1},
	}
	if *deep {
		list = append(list,
			faults{takeOvers: 3},
			faults{takeOvers: 1, timeouts: 1},
			faults{takeOvers: 1, crashes: 1},
			faults{takeOvers: 1, lies: 1, twice: 1},
			faults{takeOvers: 1, tailLosses: 1},
			faults{timeouts: 2, lies: 1, twice: 1, source: 2},
			faults{takeOvers: 1, timeouts: 1, torn: 1, source: 2},
			faults{takeOvers: 1, tailLosses: 1, stale: 1, source: 2},
			faults{takeOvers: 1, timeouts: 1, tailLosses: 1, source: 2},
			faults{takeOvers: 2, timeouts: 1, crashes: 1, source: 2},
		)
	}
	return list
}

// TestProtocol: the protocol of package relay keeps the invariants in every state, on a
// cluster and on one server.
func TestProtocol(t *testing.T) {
	for _, f := range worlds() {
		holds(t, fmt.Sprintf("batches/%+v", f), func() (int, error) { return protocol{neverAlone: true}.check(f) })
	}
	for _, f := range loneWorlds() {
		holds(t, fmt.Sprintf("events alone/%+v", f), func() (int, error) { return protocol{}.check(f) })
	}
}

// holds: no state that check comes to breaks an invariant.
func holds(t *testing.T, name string, check func() (int, error)) {
	t.Run(name, func(t *testing.T) {
		states, err := check()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d states", states)
	})
}

// breaks: a state that check comes to breaks the invariant that what begins with.
func breaks(t *testing.T, name, what string, check func() (int, error)) {
	t.Run(name, func(t *testing.T) {
		states, err := check()
		var v *Violation
		if !errors.As(err, &v) || !strings.HasPrefix(v.What, what) {
			t.Fatalf("%d states, and %q does not break in them: %v", states, what, err)
		}
		t.Logf("%d states: %v", states, err)
	})
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
		"lone events looked for before the fence":  {protocol{scanBeforeFence: true}, faults{takeOvers: 1}, "I1: event 1 where 2"},
		"lone events not looked for":               {protocol{noScan: true}, faults{crashes: 1}, "I1: event 1 where 2"},
		"lone events wherever the stream ends":     {protocol{anyTail: true}, faults{unseen: 1}, "I1: event 2 where 1"},
		"a lone event that comes twice":            {protocol{anyTail: true}, faults{twice: 1}, "I1: event 1 where 2"},
	} {
		breaks(t, name, test.breaks, func() (int, error) { return test.check(test.faults) })
	}
}

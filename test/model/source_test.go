package model

import (
	"fmt"
	"testing"
)

// TestPosition: the position of the source keeps I1, I4, I5 and I9 in every state.
func TestPosition(t *testing.T) {
	worlds := []troubles{
		{crashes: 1, drops: 1},
		{crashes: 1, purges: 1},
		{crashes: 1, tailLosses: 1},
		{crashes: 1, failOvers: 1},
		{drops: 1, opaque: 1},
	}
	if *deep {
		worlds = append(worlds,
			troubles{crashes: 1, drops: 1, groups: 5},
			troubles{crashes: 1, purges: 1, groups: 5},
			troubles{crashes: 1, tailLosses: 1, groups: 5},
			troubles{crashes: 1, failOvers: 1, groups: 5},
			troubles{crashes: 2, drops: 1, purges: 2},
			troubles{crashes: 1, drops: 1, failOvers: 2},
			troubles{crashes: 1, drops: 1, purges: 1, failOvers: 1},
			troubles{crashes: 1, tailLosses: 1, failOvers: 1},
			troubles{crashes: 1, purges: 1, opaque: 1, failOvers: 1},
		)
	}
	for _, troubles := range worlds {
		holds(t, fmt.Sprintf("%+v", troubles), func() (int, error) { return rules{}.check(troubles) })
	}
}

// TestUnsafePosition: without one of the rules, the invariant that it keeps is broken.
func TestUnsafePosition(t *testing.T) {
	for name, test := range map[string]struct {
		rules
		troubles
		breaks string
	}{
		"an undecided transaction that is not named":   {rules{undecidedForgotten: true}, troubles{}, "I4: the position holds an undecided"},
		"a position of what is not published":          {rules{readIsDone: true}, troubles{}, "I4: the position is not that of the events"},
		"on with what there is behind a gap":           {rules{gapPassed: true}, troubles{purges: 1}, "I9: the position is behind a group that nobody has read"},
		"on with a server that lacks what was read":    {rules{divergencePassed: true}, troubles{failOvers: 1}, "I9: the stream goes on with another history"},
		"on with a server that gives a GTID once more": {rules{lastNotCompared: true}, troubles{tailLosses: 1}, "I9: the stream goes on with another history"},
		"on behind what can't be read":                 {rules{opaquePassed: true}, troubles{opaque: 1}, "I9: the position is behind a group that can't be read"},
		"rows of XA PREPARE published at once":         {rules{prepareIsCommit: true}, troubles{}, "I5: event 1"},
		"rows of a rollback":                           {rules{rollbackPassed: true}, troubles{}, "I5: event 1"},
	} {
		breaks(t, name, test.breaks, func() (int, error) { return test.check(test.troubles) })
	}
}

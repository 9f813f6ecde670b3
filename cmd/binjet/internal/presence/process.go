package presence

import (
	"cmp"
	"time"

	"github.com/binjet/binjet/relay"
)

// Process is a relay as it describes itself.
type Process struct {
	// Instance is its name as in checkpoints and logs.
	Instance string     `json:"instance"`
	Version  string     `json:"version"`
	Role     relay.Role `json:"role"`
	// Since is when it took that role.
	Since time.Time `json:"since"`
	// WaitsFor is the relay that a standby would replace; "" where nobody leads.
	WaitsFor string `json:"waits_for,omitempty"`
	// Trouble is what goes wrong: a commit without an OK, or why it can't take over.
	Trouble string `json:"trouble,omitempty"`
	// Server is the nats-server that it is connected to.
	Server string `json:"nats_server"`
	// Source is nil in the first of two answers.
	Source *Source `json:"source,omitempty"`
}

// Source is whether the process can read the source: the leader by its connection, a
// standby by a look that it takes when it is asked, at most every few seconds.
type Source struct {
	OK bool `json:"ok"`
	// Error is why not, with the next step.
	Error string `json:"error,omitempty"`
	// Checked is when it was looked at.
	Checked time.Time `json:"checked"`
}

// CouldLead reports that nothing is known that would keep it from taking over, and why not.
func (p Process) CouldLead() (why string, ok bool) {
	switch {
	case p.Source == nil:
		return "it did not say in time whether it can read the source", false
	case !p.Source.OK:
		return p.Source.Error, false
	case p.Trouble != "":
		return p.Trouble, false
	}
	return "", true
}

// Subject is where the relays of a source are asked.
func Subject(stream, source string) string { return "binjet.status." + stream + "." + source }

// order puts the leader first.
func order(a, b Process) int {
	rank := func(p Process) int {
		if p.Role == relay.Leader {
			return 0
		}
		return 1
	}
	return cmp.Or(rank(a)-rank(b), a.Since.Compare(b.Since), cmp.Compare(a.Instance, b.Instance))
}

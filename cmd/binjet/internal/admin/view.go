package admin

import (
	"strings"
	"time"

	"github.com/binjet/binjet/relay"
)

// Relay is what a [Watch] asks the relay at each probe. *relay.Relay is one.
type Relay interface {
	Status() relay.Status
	Backlog() relay.Backlog
}

// Reader is what a [Watch] asks the reader. *binlog.Reader is one.
type Reader interface{ HeldBytes() int }

// Build says what a binary was made from.
type Build struct{ Version, Commit, GoVersion string }

// About is what does not change while the process runs.
type About struct {
	Build  Build
	Stream string
	Tables []string
	// OnlyLeader makes a standby unready, whoever asks.
	OnlyLeader bool
}

func (a About) tables() string { return strings.Join(a.Tables, ",") }

// view is everything that is known, at one moment.
type view struct {
	now      time.Time
	attached bool // there is a relay
	status   relay.Status
	backlog  relay.Backlog
	held     int // by the reader
	about    About
	stale    time.Duration

	link, broker link
	lag          time.Duration
	pace         pace
	survey       survey
}

// look takes one. The relay is asked first: its hooks take our lock, under none of its own.
func (w *Watch) look() view {
	w.mu.Lock()
	r, reader := w.relay, w.reader
	w.mu.Unlock()
	v := view{now: w.now(), about: w.about, stale: w.stale}
	if r != nil {
		v.attached, v.status, v.backlog = true, r.Status(), r.Backlog()
	}
	if reader != nil {
		v.held = reader.HeldBytes()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	v.link, v.broker, v.pace, v.survey, v.lag = w.link, w.broker, w.pace, w.survey, w.lag.at(v.now, w.link)
	return v
}

// positionAge is how old the oldest binlog is that is still needed.
func (v view) positionAge() time.Duration {
	_, _, age := undecidedXA(v.status.Checkpoint.XA, v.now)
	age = max(age, v.lag)
	if !v.pace.began.IsZero() { // the binlog is needed from where the snapshot was taken
		age = max(age, v.now.Sub(v.pace.began))
	}
	return age
}

package main

import "fmt"

// killer kills the streamer while it works. It looks at samples instead of a
// clock: a streamer is killed only after it has led and published something.
type killer struct {
	streamer *streamer
	say      func(format string, args ...any)
	want     int // kills
	target   int // events of the whole demo

	kills     int
	epoch     uint64 // of the streamer that leads now or was killed last
	leads     bool
	published int // when it began to lead
}

// state is what the streamer is doing, for people.
func (k *killer) state() string {
	switch {
	case k.leads:
		return "streaming"
	case k.kills > 0:
		return "restarted, waiting to take over"
	}
	return "starting"
}

// look notices a take-over and kills when it is time.
func (k *killer) look(s sample) error {
	if !k.leads && s.Epoch > k.epoch {
		k.leads, k.epoch, k.published = true, s.Epoch, s.Published
		k.say("%5.1fs  streamer %d leads, epoch %d", s.At.Seconds(), k.streamer.pid(), s.Epoch)
	}
	if !k.leads || k.kills >= k.want || s.Committed < k.due() || s.Published == k.published || s.Committed >= k.target {
		return nil
	}
	pid := k.streamer.pid()
	if err := k.streamer.kill(); err != nil {
		return err
	}
	k.kills++
	k.leads = false
	k.say("%5.1fs  kill -9 %d, with %s committed and %s published; starting another",
		s.At.Seconds(), pid, thousands(s.Committed), thousands(s.Published))
	if err := k.streamer.start(); err != nil {
		return fmt.Errorf("start the streamer after kill %d: %w", k.kills, err)
	}
	return nil
}

// due is how much is to be committed before the next kill: they are spread
// evenly over the load.
func (k *killer) due() int { return k.target * (k.kills + 1) / (k.want + 2) }

package consumerprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/binjet/binjet/consumer"
)

// state is what a consumer is asked for at each scrape.
type state struct {
	all                                                   []*prometheus.Desc
	connected, is, breaker, held, running, parked, behind *prometheus.Desc
}

func newState(labels prometheus.Labels) *state {
	s := &state{}
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		d := prometheus.NewDesc("binjet_consumer_"+name, help, variable, labels)
		s.all = append(s.all, d)
		return d
	}
	s.connected = desc("connected", "1 while there is a connection to the broker.")
	s.is = desc("state", "1 for the state that the consumer is in.", "state")
	s.breaker = desc("breaker_state", "1 for the state that the circuit breaker is in. While it is open messages wait and one at a time is tried.", "state")
	s.held = desc("held_messages", "Messages that this process holds, running or waiting.")
	s.running = desc("running_handlers", "Handlers that run now; Concurrency is their limit.")
	s.parked = desc("parked_messages", "With Ordered: ByKey, messages that wait here for their retry or their time; each keeps its key waiting.")
	s.behind = desc("blocked_messages", "With Ordered: ByKey, messages that wait for another one of their key.")
	return s
}

func (s *state) describe(out chan<- *prometheus.Desc) {
	for _, d := range s.all {
		out <- d
	}
}

func (s *state) collect(out chan<- prometheus.Metric, is consumer.Status) {
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	put(s.connected, one(is.Connected))
	for _, state := range []consumer.State{consumer.StateNew, consumer.StateStarting, consumer.StateRunning, consumer.StatePaused,
		consumer.StateSlow, consumer.StateOpen, consumer.StateDraining, consumer.StateStopped} {
		put(s.is, one(is.State == state), string(state))
	}
	for _, b := range []consumer.BreakerState{consumer.BreakerClosed, consumer.BreakerSlow, consumer.BreakerOpen} {
		put(s.breaker, one(is.Breaker.State == b), b.String())
	}
	put(s.held, float64(is.Stats.Held))
	put(s.running, float64(is.Stats.Running))
	put(s.parked, float64(is.Stats.Parked))
	put(s.behind, float64(is.Stats.Behind))
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

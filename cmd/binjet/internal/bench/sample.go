package bench

import (
	"slices"
	"sync"
	"time"
)

// sample collects durations, also of several goroutines at once.
type sample struct {
	mu   sync.Mutex
	list []time.Duration
}

func (s *sample) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, max(d, 0))
}

// Latency is what a sample says, in seconds.
type Latency struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_seconds"`
	P99   float64 `json:"p99_seconds"`
	Max   float64 `json:"max_seconds"`
}

func (s *sample) latency() Latency {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list)
	if n == 0 {
		return Latency{}
	}
	slices.Sort(s.list)
	at := func(percent int) float64 { return s.list[min(n-1, (n*percent+99)/100-1)].Seconds() } // nearest rank
	return Latency{Count: n, P50: at(50), P99: at(99), Max: s.list[n-1].Seconds()}
}

// perSecond is 0 where there was no time to measure.
func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

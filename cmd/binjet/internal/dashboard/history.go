package dashboard

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/binjet/binjet/relay"
)

const (
	bucketLength = 5 * time.Second
	bucketCount  = 180 // 15 minutes
	maxLatencies = 512 // of a bucket; more are not kept, but for the worst
)

// History is what the charts show: the last quarter of an hour, in the memory of this
// process. It is safe for concurrent use.
type History struct {
	relay Relay
	now   func() time.Time

	mu      sync.Mutex
	buckets [bucketCount]bucket // by their time, modulo bucketCount
	count   uint64              // of the source's events at the last sample
	counted time.Time           // when that was; zero before the first
}

// bucket is what a few seconds were like.
type bucket struct {
	begin     time.Time
	events    uint64
	over      time.Duration // in which they were published; 0 when that is not known
	latencies []time.Duration
	worst     time.Duration
	lag       time.Duration
	lagKnown  bool
}

// NewHistory returns an empty one. [History.Run] fills it.
func NewHistory(r Relay) *History { return &History{relay: r, now: time.Now} }

// Run takes a sample each second until ctx ends.
func (h *History) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.sample()
		case <-ctx.Done():
			return
		}
	}
}

// Committed is for the hook of [relay.Hooks] of that name.
func (h *History) Committed(c relay.Commit) {
	if c.Events == 0 || c.Oldest.IsZero() {
		return
	}
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at(now).latency(now.Sub(c.Oldest))
}

func (b *bucket) latency(d time.Duration) {
	d = max(d, 0) // the clocks of two machines
	b.worst = max(b.worst, d)
	if len(b.latencies) < maxLatencies {
		b.latencies = append(b.latencies, d)
	}
}

// at is the bucket of a time; the caller holds mu.
func (h *History) at(now time.Time) *bucket {
	begin := now.Truncate(bucketLength)
	b := &h.buckets[begin.Unix()/int64(bucketLength.Seconds())%bucketCount]
	if !b.begin.Equal(begin) {
		*b = bucket{begin: begin}
	}
	return b
}

// sample notes how many events the source has had published in all, by whomever, so
// that a standby has the same chart as the leader. Of the latency a standby knows
// that of the last transaction in each checkpoint that it samples.
func (h *History) sample() {
	status, ok := h.relay.Status()
	lag, lagKnown := h.relay.Lag()
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !ok || status.Seq == 0 {
		return
	}
	b, c := h.at(now), status.Checkpoint
	if lagKnown {
		b.lag, b.lagKnown = max(b.lag, lag), true
	}
	if !h.counted.IsZero() {
		b.over += now.Sub(h.counted)
		if c.Count > h.count { // it falls back when the stream lost its tail
			b.events += c.Count - h.count
			if status.Role != relay.Leader && c.Last != nil {
				b.latency(c.At.Sub(c.Last.Committed))
			}
		}
	}
	h.count, h.counted = c.Count, now
}

// points are the buckets of the last quarter of an hour, oldest first; those that
// nothing is known of are zero but for their time.
func (h *History) points() []bucket {
	now := h.now().Truncate(bucketLength)
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]bucket, 0, bucketCount)
	for at := now.Add(-(bucketCount - 1) * bucketLength); !at.After(now); at = at.Add(bucketLength) {
		b := h.buckets[at.Unix()/int64(bucketLength.Seconds())%bucketCount]
		if !b.begin.Equal(at) {
			b = bucket{begin: at}
		}
		b.latencies = slices.Clone(b.latencies)
		list = append(list, b)
	}
	return list
}

// rate is in events per second; false when it is not known.
func (b bucket) rate() (float64, bool) {
	if b.over <= 0 {
		return 0, false
	}
	return float64(b.events) / b.over.Seconds(), true
}

// median is that of the latencies; false where there is none.
func (b bucket) median() (time.Duration, bool) {
	if len(b.latencies) == 0 {
		return 0, false
	}
	slices.Sort(b.latencies)
	return b.latencies[len(b.latencies)/2], true
}

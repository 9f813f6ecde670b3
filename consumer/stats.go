package consumer

import "sync/atomic"

// Stats count deliveries by how they ended, since New.
type Stats struct {
	Handled, Duplicates, Retried, Deferred, DeadLettered, Ignored, Skipped, Expired uint64
	// Held is how many messages this process holds now, running or buffered.
	Held int
	// Running is how many handlers run now; one of batches counts once.
	Running int
	// Parked is how many of the held messages wait for their retry or their time, and
	// Behind how many wait for another one of their key. Both are of consumers with
	// Ordered: ByKey; the others' retries wait on the broker.
	Parked, Behind int
}

// counters count by [Kind].
type counters [kinds]atomic.Uint64

func (c *counters) stats() Stats {
	return Stats{
		Handled:      c[Handled].Load(),
		Duplicates:   c[Duplicate].Load(),
		Retried:      c[Retried].Load(),
		Deferred:     c[Deferred].Load(),
		DeadLettered: c[DeadLettered].Load(),
		Ignored:      c[Ignored].Load(),
		Skipped:      c[Skipped].Load(),
		Expired:      c[Expired].Load(),
	}
}

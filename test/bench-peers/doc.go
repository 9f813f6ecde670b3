// Command bench-peers measures binjet's consumer beside what people use instead,
// in one run on one machine, with the same messages, server and statements:
//
//	make bench-consumer
//
// Every round runs each peer once, in turn, so that a noisy moment hits all of
// them; the table shows medians, and ratios first. The peers are a hand-written
// loop on nats.go, and Watermill's router on its JetStream subscriber with its
// deduplicator. It asserts nothing.
//
// Command outbox below it is for `make bench`, which measures the streamer beside its peers.
//
// It is a module of its own, so that the peers' dependencies reach nobody.
package main

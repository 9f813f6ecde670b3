// Package store reads checkpoints where they are kept: in the stream itself,
// and as copies in a JetStream key-value bucket.
//
// The record in the stream is the truth. It is read from the stream's leader
// only ($JS.API.STREAM.MSG.GET), because a direct get may answer from a replica
// that lags. Even the leader's answer may be stale while it is cut off from its
// peers, so a decision that would rewind is confirmed by a compare-and-set on
// what was read. Writing is therefore the relay's business: a checkpoint is
// written together with its events or as a compare-and-set, never by a plain put.
//
// The copies are history, at most a second behind. They tell a stream that was
// purged, restored or made anew from one that was never used.
package store

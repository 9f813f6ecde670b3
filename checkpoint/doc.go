// Package checkpoint says how far a source has been published, in a form that
// can be compared, stored and resumed from.
//
// A [Checkpoint] is written into the stream in the same atomic batch as the
// events it covers, so it can be neither ahead of them nor behind. It is also
// the lock: the next one is accepted by the broker only if it names the sequence
// of the one before, so a relay that lost its epoch can't write any more.
//
// GTID sets are our own here, small and pure, for two reasons. The set must move
// only at the end of a whole transaction, under our rule and nobody else's. And
// the relay has to do algebra on positions without knowing any binlog library.
//
// Where checkpoints are kept stands in package store below this one.
package checkpoint

// Package relay is the engine: it takes committed transactions from a [Source],
// publishes their events to JetStream and moves the checkpoint, so that both
// happen or neither does.
//
// # How
//
// Events are published in atomic batches (NATS ADR-50). The last message of
// each is the source's checkpoint, with the condition that the checkpoint before
// it is still the last one on its subject. So a batch is stored whole or not at
// all, the position is never ahead of the data nor behind it, and a relay that
// was replaced while it was paused can't write: the broker refuses it, not a timer.
//
//	standby ──(silent for three heartbeats, or released)──▶ take over
//	take over: compare-and-set, epoch + 1 ──lost──▶ standby
//	    │ won
//	    ▼
//	lead: read from the position ▶ stage ▶ commit ▶ settle ─┐
//	    ▲                                                    │
//	    └──────── one commit in flight, next batch staged ───┘
//	lead ──newer epoch──▶ standby      lead ──stream older than mine──▶ take over
//	lead ──source out of reach for long──▶ release ▶ standby
//
// Where one server keeps the stream, a batch of one event costs ten times a plain
// message. So while little waits there, a transaction of one event goes by itself,
// behind the checkpoint, which follows within 100 events and 100 ms: see lone.go for
// what it expects, and why nothing is lost or said twice.
//
// # What an answer means
//
// Only an OK means what it says. After anything else, a refusal included, the
// write may have happened or may still happen: on a cluster a refused batch has
// been seen to be stored. So every other outcome is settled by reading the
// checkpoint back from the leader and comparing nonces; [settle] is that rule,
// alone and pure. A checkpoint without events is simply sent again: both copies
// name the same sequence and at most one of them can find it there. A batch is
// fenced first, by writing the checkpoint before it once more, and what lies
// behind that checkpoint is looked through: a single server that runs out of room
// in the middle of a batch keeps its first events, which must not be repeated.
//
// # When the stream is older than what we wrote
//
// The condition of a commit is a sequence, and a broker that lost its newest data
// counts the same sequences again, maybe for another relay's checkpoint. Such a broker
// was started anew, which ends every connection to it: so a sequence is used only on
// the connection on which it was read or acknowledged, and after a reconnect the
// checkpoint is read first. (Found by test/model.)
//
// A broker that lost its newest data lost events and checkpoint together. The
// relay takes over from the checkpoint that is left, and the binlog says the rest
// again. Whatever events of ours lie behind that checkpoint are compared with
// what the binlog yields and not published twice.
package relay

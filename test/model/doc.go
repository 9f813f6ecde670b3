// Package model is the protocol of relay/ as a small explicit-state model: two
// relays, one stream, and everything between them that can be late, lost or said
// twice. Its test goes through every interleaving of a bounded world and checks
// the invariants in each state; variants of the protocol that are known to be
// unsafe must fail in it, or the model would prove nothing.
//
// A step of the model is what is atomic in reality: the broker takes one request;
// a relay reads one answer and acts on it. Time is not modelled: a timeout, a
// take-over by a standby and a crash may happen whenever they can. What is counted,
// so that the search ends, are the faults.
//
//	relay:  standby ─read, CAS─▶ taking ─▶ scanning ─▶ leading ─commit─▶ waiting
//	           ▲                   │                      ▲                 │ no OK
//	           └──── deposed, older┴──── settling ◀───────┼─────────────────┘
//	                                     │ absent: fence, scan, same batch ─┘
//
// On one server, events go by themselves behind the checkpoint too (lone.go), and
// what settles them is the fence.
//
// What is in it: commits that are delivered late, in any order, after their author
// was deposed or died; answers that are lost; refusals of what was stored; batches of
// which a part is stored; stale reads; crashes; a broker that loses its tail and
// counts the same sequences again, with the connections to it cut or, where nothing else
// goes wrong, not. What is not: the binlog (a source is the events 1
// to N, in order), standbys' timers, and the copies of the checkpoint.
//
// # The position of the source
//
// The binlog has a model of its own (source.go), since both together would be too many
// states: a server writes groups of every kind, a reader reads them and stores
// events and position, which takes one step here.
//
//	reader:  down ─connect─▶ reading ─▶ queue ─publish─▶ stream: events + position
//	          ▲  ▲  │ amiss    │ cut off, connect             │
//	          │  └──┴─▶ halted ◀──┘                           │
//	          └── crash, take-over: it knows the stream only ─┘
//
// In it: XA transactions, prepared and decided at any time, whose rows are lost with the
// process; rows of a rollback; binlogs that are purged at any time; a server that comes back
// without its last group and gives its GTID to another one; fail-overs with and without
// loss; a group that can't be read. Not in it: waiting for a replica that lags,
// positions by file, snapshots and rescans, a transaction in parts, and
// two XA transactions that are prepared at once.
//
// # Which invariant where
//
// The protocol's I1–I3, I6–I8, I11 and I12 are looked at by the first, I1, I4, I5, I9
// and I11 by the second one. I10, bounded memory, is of no protocol: a real process is measured.
package model

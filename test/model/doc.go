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
// What is in it: commits that are delivered late, in any order, after their author
// was deposed or died; answers that are lost; refusals of what was stored; batches of
// which a part is stored; stale reads; crashes; a broker that loses its tail and
// counts the same sequences again. What is not: the binlog (a source is the events 1
// to N, in order), standbys' timers, and the copies of the checkpoint.
package model

// Package presence lets the relays of a source be asked who they are. A standby writes
// nothing, so nothing that is stored could tell of it; each relay answers on a core
// NATS subject instead, and what it says is true at that moment.
//
// An answer comes twice: at once with what the process knows, and again once a standby
// has looked whether it could read the source on from the checkpoint, which is what
// matters about it and takes a connection to the database. Answers are for people and
// decide nothing: whoever may subscribe to the subject could answer, too.
package presence

// Package binjet is the wire contract of a transactional outbox over the MySQL
// or MariaDB binlog and NATS JetStream: what an event is, how it lies in the
// outbox table, and how it appears on the stream.
//
// A service inserts events with package producer into an outbox table, in the
// transaction that changes its own tables. `binjet run` reads the binlog
// (package binlog) and publishes what was committed, in commit order and exactly
// once (package relay). Handlers consume the stream with package consumer.
//
// All of them agree only through this package, so it depends on nothing but the
// standard library, and a change here is a change of the wire format.
package binjet

// Package torture tries to break what binjet promises: it runs the real streamer
// and the real consumer between a real database and a real NATS cluster, does to each
// of them and to each link between them what happens at night, and then compares.
//
//	writers ──▶ MySQL ──link──▶ streamers ──link──▶ NATS (1 or 3) ──link──▶ handlers ──▶ MySQL
//	   │          ▲                 ▲                    ▲                     ▲
//	history       └────────────── nemesis: kills, stops, cuts, delays ─────────┘
//
// Everything that is done comes from one seed. What is true is asked of nobody that
// is tested: the order of commits is read from the binlog by the server's own
// mysqlbinlog or mariadb-binlog, the stream by plain nats.go, checkpoints as JSON, and
// effects by SQL. No package of binjet but the producer is imported here, and by
// the handlers' process the consumer.
//
// `make torture` runs it for as long as you like; `make test` for a moment.
package torture

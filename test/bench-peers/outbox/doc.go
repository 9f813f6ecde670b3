// Command outbox publishes an outbox the ways that people do without binjet, for
// `make bench`, which starts and kills it:
//
//	polling          SELECT … FOR UPDATE SKIP LOCKED, publish, DELETE, COMMIT
//	watermill        Watermill's forwarder on its SQL subscriber and NATS publisher
//	canal            go-mysql's canal handler, each event published and waited for
//	canal-async      the same with PublishAsync
//
// Each is what one finds in documentation and blogs, with the settings that are the
// defaults there. What it has to know is in BINJET_TEST_BENCH_SPEC.
package main

// Command bench measures how fast binjet is beside what limits it and what people use
// instead, in one run on one machine with the same messages:
//
//	make bench
//	make bench ARGS="-rows 200000 -only drain"
//
// What is measured is the command as users have it, with its defaults. It, the NATS
// servers, the database and all that makes load or competes are processes of their own,
// so that the system counts the time and the memory of each. Whatever publishes is
// measured by one ruler: when the broker says that it stored the events. What is compared
// takes turns, so that what else the machine does meets all alike; ratios come first,
// since they are what another machine can repeat. It asserts nothing but that every event
// is there once.
//
// docs/performance.md explains the figures. It needs Linux, for /proc.
package main

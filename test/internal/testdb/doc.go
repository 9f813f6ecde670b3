// Package testdb is how the integration tests get what they run against: a database
// server from the chosen backend, and the binjet command, built once for each test
// program.
//
// A test program's TestMain is [Run]:
//
//	func TestMain(m *testing.M) { os.Exit(testdb.Run(m)) }
//
// # Backends
//
// By default the servers are programs of this machine; package dbserver has the ways to
// get one. With BINJET_TEST_BACKEND=containers each runs in a container of its own,
// through testcontainers-go, whose images are variables: BINJET_TEST_MYSQL_IMAGE
// (mysql:8.4), BINJET_TEST_MARIADB_IMAGE (mariadb:11), and for the tests that ask for a
// version BINJET_TEST_MARIADB_10_11_IMAGE (mariadb:10.11). The engine has to be on this
// machine, since a server has its data in a directory of the test's and is on the
// machine's own network: then everything that a test does to a server that is a program
// (look at its files, reach it by its socket, restart it with other options, let one
// replicate another) works as it does there. PostgreSQL, which is there for the inbox of
// a consumer only, is a program with this backend too.
//
// NATS is a library: most tests run it in their own process, give it options of their
// own, stop it, and look into its store, and the torture suite's nodes are processes of
// its own program. What needs no more than a broker to connect to asks [NewBroker],
// which is a container with that backend (BINJET_TEST_NATS_IMAGE, nats:2), or a server
// that runs already (BINJET_TEST_NATS_URL).
//
// BINJET_TEST_MYSQL_ADDR and BINJET_TEST_MARIADB_ADDR (host:port, with _USER and
// _PASSWORD) are servers that run already. On one of these, tests have databases of
// their own, which are dropped afterwards; those that start it with options of their
// own, kill it or pause it fail and say so. docs/compatibility.md names those that run.
package testdb

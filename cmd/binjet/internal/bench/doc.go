// Package bench measures a set-up: this database, this broker, and binjet between them.
//
// Everything happens on a table, a stream and source names of its own, which it makes
// and takes away again. What it compares binjet with is measured in the same minute on
// the same servers: the broker's raw publishing, the reader alone, and the relay alone.
//
// The order is that of the data. Writers commit single rows as fast as the database
// takes them; these rows are then read without publishing, and drained by a relay. That
// relay leads on while rows are committed at a given rate, which shows how long an event
// is under way. In between the broker is measured without a database.
package bench

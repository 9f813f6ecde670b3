// Package faults proves the promises about the stream on real servers while
// things are taken away: the streamer by SIGKILL and SIGSTOP, the broker, its
// newest data, the database. The streamer is the real command in processes of
// its own. What should be in the stream is read from the table (what committed)
// and from the raw binlog (in which order), not with the product's own reader.
package faults

// Package binlog reads the binlog of a MySQL or MariaDB server and yields whole
// committed transactions of outbox tables, in commit order, each with the
// position it leads to. It is the only door of binjet to go-mysql.
//
// # Why it looks like this
//
// A binlog is a log of groups: a GTID event, then what the transaction did, then
// how it ended. Rows that were rolled back can lie in it, and rows of a prepared
// XA transaction lie in it before anybody knows its outcome. So nothing may be
// published before a group's end, and a position may move only there:
//
//		connection → packets → parser → assembler → stream → yield
//		 (link)      (bytes)   (events)   (groups)  (position)
//
//	  - The link owns the network connection: it bounds every read by itself, so
//	    that a callee that blocks for long is back-pressure and not an error, and
//	    it can end everything that hangs on the connection at once.
//	  - Over it we register as a replica, ask for a dump and read its packets, in the
//	    goroutine that asked. Most events are decoded where they were read to.
//	  - The parser turns bytes into go-mysql's events, but for rows of other tables,
//	    which it passes over, and for those of tables as simple as ours, of which messages
//	    are made without go-mysql. It inflates a compressed transaction as a stream, so that
//	    its size does not count.
//	  - The assembler is pure: events in, at each group's end one group out. It
//	    knows every shape a group can have, and refuses what it does not know.
//	  - The stream keeps the position: a GTID set of our own that grows by one
//	    member per yielded group. Each new connection resumes from that set, so a
//	    lost connection can neither lose nor repeat anything.
//	    On MySQL without GTIDs it is a file and an offset, which a cursor counts in 64 bits.
//
// # A transaction larger than memory
//
// Which rows of a group survive is known at its end only (savepoints), and a
// group need not fit into memory. One that is larger than
// [Config.MaxTransactionBytes] is therefore read twice: the first time only the
// ordinals of the dropped rows are kept, the second time the rows are yielded in
// parts. The position still moves with the last part only.
//
// # Never silent
//
// What can't be published as it was committed ends [Reader.Stream] with a
// *checkpoint.HaltError that names the transaction and the way out: statements
// where rows should be, an UPDATE of an outbox row, purged logs, a position that
// another server's history does not hold.
package binlog

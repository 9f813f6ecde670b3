package binlog

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// Where to begin when there is no checkpoint. The fourth way is a GTID set, or
// file:offset on MySQL without GTIDs.
const (
	StartSnapshot = "snapshot" // the rows that are in the tables, then everything after
	StartEarliest = "earliest" // the oldest transaction the server still has
	StartLatest   = "latest"   // what commits from now on
)

// What to do with an UPDATE of an outbox row.
const (
	// HaltOnUpdate: a REPLACE or an upsert of an ID that exists is an UPDATE in the
	// binlog, and its event would be lost.
	HaltOnUpdate = "halt"
	// IgnoreUpdates is for tables whose rows are marked after they were inserted.
	// Such a REPLACE or upsert is then lost; it is warned of, not told apart.
	IgnoreUpdates = "ignore"
)

// What to do when the server no longer has what follows the position.
const (
	// HaltOnGap: an operator decides.
	HaltOnGap = "halt"
	// RescanOnGap: the outbox tables are read for what the stream lacks.
	RescanOnGap = "rescan"
)

// Defaults of [Config].
const (
	DefaultHeartbeat           = 2 * time.Second
	DefaultFailoverWait        = 30 * time.Second
	DefaultMaxTransactionBytes = 16 << 20
)

// Config says what to read. Addr, User and Tables are required.
type Config struct {
	// Addr is host:port, or the path of a Unix socket.
	Addr string
	// User needs REPLICATION SLAVE; for [StartSnapshot] also SELECT on the tables,
	// and LOCK TABLES on MySQL, or where XA transactions are in use. MySQL without
	// GTIDs takes REPLICATION CLIENT, too. [Reader.Check] says what is missing.
	User, Password string
	// TLS encrypts the connections when set. Default: none.
	TLS *tls.Config
	// Renew is asked before each connection for what to use in place of User, Password
	// and TLS, since these are rotated while a reader runs. Its error is one of that
	// attempt, which is repeated like any that fails. It may be called concurrently.
	// Default: User, Password and TLS as they are.
	Renew func() (Login, error)
	// Database is the schema of tables that are named without one.
	Database string
	// Tables are the outbox tables, "name" or "schema.name", spelled as the server
	// stores them.
	Tables []string
	// Columns maps their columns. Default: those of the table that binjet creates.
	// [Debezium] is the mapping of another known design.
	Columns Columns
	// Route makes topic and key of templates. Default: columns hold them.
	Route Route
	// Headers are columns that become headers: "column", or "column:Header-Name". With
	// a ? behind the column, tables and rows that lack it have no such header; else
	// the column must be there. NULL is no header. Integers, DECIMAL, YEAR and BIT are
	// decimal digits; FLOAT and DOUBLE the shortest text that reads as the same number;
	// ENUM and SET their names; DATE 2006-01-02; TIMESTAMP 2006-01-02T15:04:05.000000Z,
	// and DATETIME the same without the Z; TIME -12:34:56.000000; JSON compact; BINARY(16)
	// and MariaDB's UUID the text of a UUID; text as it is. A header that the row's own
	// headers hold, too, and a value that a header can't carry, make a row one that
	// can't be published. Default: none.
	Headers []string
	// ContentType is that of messages whose row says none. Default: "", none.
	ContentType string
	// BinaryUUID says how BINARY(16) columns hold UUIDs: [UUIDStandard] (default) or
	// [UUIDSwapped]. A table that mixes both can't be read.
	BinaryUUID string

	// ServerID is what this replica calls itself. It must differ from that of every
	// server and replica of the topology: MariaDB disconnects one of two replicas
	// of the same ID. Default: random, at or above 2^31.
	ServerID uint32
	// Flavor is the expected kind of server; another one is an error. Default: any.
	Flavor checkpoint.Flavor
	// Start is the policy of [Reader.Begin]: snapshot, earliest, latest, a GTID set, or
	// file:offset on MySQL without GTIDs. Default: snapshot, the only one that misses
	// nothing.
	Start string

	// OnUpdate is [HaltOnUpdate] (default) or [IgnoreUpdates].
	OnUpdate string

	// Heartbeat is how often the server says that it has nothing to say. Default: 2 s.
	Heartbeat time.Duration
	// ReadTimeout is the silence after which a connection counts as dead. Default,
	// and at least: three heartbeats.
	ReadTimeout time.Duration
	// MaxTransactionBytes bounds what is held of one transaction; a larger one is
	// read twice and yielded in parts. Default: 16 MiB. Row events, which the server
	// bounds, single rows, and in MySQL the packet of a compressed transaction, which
	// nothing bounds but its size, come on top.
	MaxTransactionBytes int

	// FailoverWait is how long to wait for a server that does not have the position
	// yet, as a replica that lags has not, once it ceases to come nearer to it. Then
	// it counts as one of another history. Negative: not at all. Default: 30 s.
	FailoverWait time.Duration

	// OnGap says what to do when the server no longer has what follows the position.
	// [HaltOnGap] (default) stops. [RescanOnGap] yields the rows that the outbox
	// tables still hold, as a snapshot whose [checkpoint.Rescan] tells the relay to
	// publish only those that the stream lacks. Rows that were deleted meanwhile, and
	// those of a BLACKHOLE table, can't be found. Needs what a snapshot needs.
	OnGap string

	// AcceptLoss are transactions to go on without when exactly these are purged and
	// not read yet: the set that [ErrPurged] came with. Their events are lost, so it
	// is for an operator to decide, once. Default: none; a gap halts.
	AcceptLoss checkpoint.GTIDSet

	// Logger gets connects, disconnects and warnings. Default: nothing is logged.
	Logger *slog.Logger
	// Hooks observe the reader.
	Hooks Hooks
}

// Login is what a connection is opened with.
type Login struct {
	User, Password string
	TLS            *tls.Config // nil: none
}

// Hooks are called by the reader as things happen, from its own goroutine, which
// waits for them. Any may be nil.
type Hooks struct {
	// Connected: a binlog connection is open and verified.
	Connected func(Server)
	// Disconnected: it was lost, and will be opened again.
	Disconnected func(error)
	// Received counts the bytes of each event read.
	Received func(bytes int)
	// Transaction is called for each whole transaction after it was yielded, also
	// for those without outbox rows.
	Transaction func(g checkpoint.GTID, committed time.Time, rows int)
}

func (c Config) withDefaults() Config {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Columns.ID, binjet.ColumnID)
	if c.Route.Topic != "" {
		def(&c.Columns.Topic, NoColumn)
	}
	if c.Route.Key != "" {
		def(&c.Columns.Key, NoColumn)
	}
	def(&c.Columns.Topic, binjet.ColumnTopic)
	def(&c.Columns.Key, binjet.ColumnKey)
	def(&c.Columns.Headers, binjet.ColumnHeaders)
	def(&c.Columns.Payload, binjet.ColumnPayload)
	def(&c.Columns.CreatedAt, binjet.ColumnCreatedAt)
	def(&c.Columns.Tracing, NoColumn)
	def(&c.BinaryUUID, UUIDStandard)
	def(&c.Start, StartSnapshot)
	def(&c.OnUpdate, HaltOnUpdate)
	def(&c.OnGap, HaltOnGap)
	if c.ServerID == 0 {
		c.ServerID = anyServerID()
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = DefaultHeartbeat
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 3 * c.Heartbeat
	}
	if c.FailoverWait == 0 {
		c.FailoverWait = DefaultFailoverWait
	}
	if c.MaxTransactionBytes == 0 {
		c.MaxTransactionBytes = DefaultMaxTransactionBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// isSocket: as go-mysql tells a path from host:port.
func isSocket(addr string) bool { return strings.Contains(addr, "/") }

// anyServerID is one that nobody is likely to have been given.
func anyServerID() uint32 { return 1<<31 + rand.Uint32N(1<<31-1) }

// validate reports every fault at once.
func (c Config) validate() error {
	var faults []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	bad(c.Addr == "", "Addr is empty: give host:port or the path of a socket")
	if c.Addr != "" && !isSocket(c.Addr) {
		_, port, err := net.SplitHostPort(c.Addr)
		bad(err != nil, "Addr %q is neither host:port nor the path of a socket: %v", c.Addr, err)
		n, err := strconv.ParseUint(port, 10, 16)
		bad(err != nil || n == 0, "Addr %q: port %q is not a number from 1 to 65535", c.Addr, port)
	}
	bad(c.User == "", "User is empty")
	bad(c.OnUpdate != HaltOnUpdate && c.OnUpdate != IgnoreUpdates, "OnUpdate %q is neither %s nor %s", c.OnUpdate, HaltOnUpdate, IgnoreUpdates)
	bad(c.OnGap != HaltOnGap && c.OnGap != RescanOnGap, "OnGap %q is neither %s nor %s", c.OnGap, HaltOnGap, RescanOnGap)
	bad(c.Flavor != "" && c.Flavor != checkpoint.MySQL && c.Flavor != checkpoint.MariaDB,
		"Flavor %q is neither %q nor %q", c.Flavor, checkpoint.MySQL, checkpoint.MariaDB)
	bad(c.Heartbeat < 0, "Heartbeat %s is negative", c.Heartbeat)
	bad(c.ReadTimeout < 3*c.Heartbeat, "ReadTimeout %s is less than three times the Heartbeat of %s", c.ReadTimeout, c.Heartbeat)
	bad(c.MaxTransactionBytes < 0, "MaxTransactionBytes %d is negative", c.MaxTransactionBytes)
	faults = append(faults, c.validateMapping()...)
	if err := checkStart(c.Start); err != nil {
		faults = append(faults, err)
	}
	if _, err := parseTables(c.Database, c.Tables); err != nil {
		faults = append(faults, err)
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("binlog: config: %w", errors.Join(faults...))
}

func checkStart(start string) error {
	switch start {
	case StartSnapshot, StartEarliest, StartLatest:
		return nil
	}
	if _, err := checkpoint.ParseFilePosition(start); err == nil {
		return nil
	}
	set, err := checkpoint.ParseGTIDSet(start)
	if err != nil || set.IsEmpty() {
		return fmt.Errorf("policy Start %q is none of %s, %s, %s, not a GTID set and not file:offset", start, StartSnapshot, StartEarliest, StartLatest)
	}
	return nil
}

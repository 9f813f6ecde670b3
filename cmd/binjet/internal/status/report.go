package status

import (
	"time"

	"github.com/binjet/binjet/cmd/binjet/internal/presence"
	"github.com/binjet/binjet/consumer"
)

// Report is what was found. Fields of a side that could not be asked are empty,
// and its Error says why.
type Report struct {
	At time.Time `json:"at"`
	// Healthy says that there are no Problems. Warnings are for working hours.
	Healthy  bool      `json:"healthy"`
	Problems []Finding `json:"problems"`
	Warnings []Finding `json:"warnings"`

	Source      Source      `json:"source"`
	Relay       Relay       `json:"relay"`
	Stream      Stream      `json:"stream"`
	Consumers   []Consumer  `json:"consumers"`
	DeadLetters DeadLetters `json:"dead_letters"`
}

// Finding is something that wants attention, and the next step.
type Finding struct {
	What string `json:"what"`
	Next string `json:"next,omitempty"`
}

// Source is the database server.
type Source struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Error   string `json:"error,omitempty"`
	Flavor  string `json:"flavor,omitempty"`
	Version string `json:"version,omitempty"`
	// Position is where its binlog ends.
	Position string `json:"position,omitempty"`
	// TransactionsPerSecond are those of all tables, over the time of the sample.
	TransactionsPerSecond *float64 `json:"transactions_per_second,omitempty"`
	// LagSeconds is the age of the oldest transaction behind the published position,
	// of whatever table; LagTransactions how many there are, LagBytes how many bytes
	// where positions are in files. Absent when not known, with LagError.
	LagSeconds      *float64 `json:"lag_seconds,omitempty"`
	LagTransactions *uint64  `json:"lag_transactions,omitempty"`
	LagBytes        *uint64  `json:"lag_bytes,omitempty"`
	LagError        string   `json:"lag_error,omitempty"`
	// Readable says whether reading can go on from the position; else Unreadable says why.
	Readable   *bool    `json:"readable,omitempty"`
	Unreadable string   `json:"unreadable,omitempty"`
	Binlogs    *Binlogs `json:"binlogs,omitempty"`
}

// Binlogs is what the server has of its binlog, against what is needed.
type Binlogs struct {
	Error string `json:"error,omitempty"`
	Files int    `json:"files"`
	Bytes uint64 `json:"bytes"`
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	// KeptSeconds is how long the server keeps a file after its last write; 0: for ever.
	KeptSeconds float64 `json:"kept_seconds"`
	// Needed is the oldest file that has still to be read: purging it, or one behind
	// it, would lose events. NeededBytes is its size and that of all behind it.
	Needed      string `json:"needed,omitempty"`
	NeededFiles int    `json:"needed_files"`
	NeededBytes uint64 `json:"needed_bytes"`
	// LeftSeconds is how long the needed file is kept at least. Absent while it is
	// the one that is written.
	LeftSeconds *float64 `json:"left_seconds,omitempty"`
}

// Relay is what the checkpoint says. Exists is false where there is none.
type Relay struct {
	Exists bool   `json:"exists"`
	Error  string `json:"error,omitempty"`
	// Leader wrote the checkpoint. It is alive when the checkpoint moved, or is
	// young; Released says that it stopped cleanly.
	Leader   string    `json:"leader,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Alive    bool      `json:"alive"`
	Released bool      `json:"released"`
	Epoch    uint64    `json:"epoch"`

	Position string    `json:"position,omitempty"`
	Sequence uint64    `json:"sequence"`
	Written  time.Time `json:"written,omitzero"`
	Events   uint64    `json:"events"`
	// EventsPerSecond is over the time of the sample.
	EventsPerSecond *float64  `json:"events_per_second,omitempty"`
	LastTransaction string    `json:"last_transaction,omitempty"`
	LastCommitted   time.Time `json:"last_committed,omitzero"`
	// Partial is a transaction that is published in parts, Snapshot the progress of one.
	Partial  string    `json:"partial,omitempty"`
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	XA       []XA      `json:"undecided_xa"`
	Set      *Set      `json:"set,omitempty"`
	Copies   *Copies   `json:"copies,omitempty"`

	// Processes are those that answered, the leader first; ProcessesError says why none did.
	Processes      []presence.Process `json:"processes"`
	ProcessesError string             `json:"processes_error,omitempty"`
}

// Snapshot is how far a snapshot of the outbox tables is.
type Snapshot struct {
	Begun    bool   `json:"begun"`
	Table    string `json:"table,omitempty"`
	Rows     uint64 `json:"rows"`
	Estimate uint64 `json:"estimate,omitempty"`
	Rescan   bool   `json:"rescan,omitempty"`
}

// XA is a prepared XA transaction without an outcome.
type XA struct {
	XID        string    `json:"xid"`
	GTID       string    `json:"gtid"`
	Rows       int       `json:"rows"`
	Since      time.Time `json:"since"`
	AgeSeconds float64   `json:"age_seconds"`
}

// Set is the last time that an operator set the position.
type Set struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	From   string    `json:"from"`
	To     string    `json:"to"`
}

// Copies are the checkpoint copies in the bucket.
type Copies struct {
	Error string `json:"error,omitempty"`
	Kept  int    `json:"kept"`
	// Newest is of this stream; AgeSeconds by the clock of its writer.
	Newest     uint64  `json:"newest_sequence"`
	AgeSeconds float64 `json:"age_seconds"`
}

// Stream is what the broker says of the stream.
type Stream struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Error   string `json:"error,omitempty"`
	// Missing says that there is no such stream.
	Missing bool `json:"missing"`
	// Version is the nats-server's.
	Version       string    `json:"version,omitempty"`
	Messages      uint64    `json:"messages"`
	Bytes         uint64    `json:"bytes"`
	FirstSequence uint64    `json:"first_sequence"`
	LastSequence  uint64    `json:"last_sequence"`
	FirstTime     time.Time `json:"first_time,omitzero"`
	LastTime      time.Time `json:"last_time,omitzero"`
	Replicas      int       `json:"replicas"`
	// Lagging are replicas that are not current, or offline.
	Lagging    []string `json:"lagging_replicas,omitempty"`
	Leader     string   `json:"leader,omitempty"`
	Partitions string   `json:"partitions,omitempty"`
	// Limits; 0 is none.
	MaxBytes      int64   `json:"max_bytes"`
	MaxMessages   int64   `json:"max_messages"`
	MaxAgeSeconds float64 `json:"max_age_seconds"`
}

// Consumer is one consumer of the stream.
type Consumer struct {
	Name string `json:"name"`
	// Ordered consumers keep records of their own: Order has them, and the numbers
	// are sums over the shares. AckFloor is then the lowest floor of a share.
	Ordered bool     `json:"ordered"`
	Topics  []string `json:"filter_subjects"`
	// Pending were never delivered, Unacked delivered and not finished, Redelivered
	// of these more than once.
	Pending     uint64 `json:"pending"`
	Unacked     uint64 `json:"unacked"`
	Redelivered uint64 `json:"redelivered"`
	AckFloor    uint64 `json:"ack_floor"`
	// PendingKnown is false for an ordered consumer with shares that nobody reads.
	PendingKnown bool `json:"pending_known"`
	// Waiting are pull requests that wait: 0 mostly means that no process runs.
	Waiting    int                     `json:"waiting"`
	LastActive time.Time               `json:"last_active,omitzero"`
	Paused     bool                    `json:"paused,omitempty"`
	Order      *consumer.OrderedStatus `json:"order,omitempty"`
}

// DeadLetters is what lies in the stream of dead letters.
type DeadLetters struct {
	Stream string `json:"stream"`
	Error  string `json:"error,omitempty"`
	Exists bool   `json:"exists"`
	Count  uint64 `json:"count"`
	// By counts them by the consumer that gave them up, or the source of a relay
	// that quarantined them.
	By map[string]uint64 `json:"by"`
	// Replays wait for their consumers.
	Replays uint64 `json:"replays"`
}

package config

import (
	"crypto/tls"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
)

// Config is everything that can be set. Tags of a leaf: key, default, help, flag
// (the command line flag it also has), and secret.
type Config struct {
	Source Source `key:"source"`
	NATS   NATS   `key:"nats"`
	Stream Stream `key:"stream"`
	Relay  Relay  `key:"relay"`
	HTTP   HTTP   `key:"http"`
	Log    Log    `key:"log"`

	// File is the one that was read, "" for none. Database and Broker are what the
	// keys above amount to: parsed, with the secrets read from their files.
	File     string   `key:"-"`
	Database Database `key:"-"`
	Broker   Broker   `key:"-"`
	// AcceptLoss is set by a flag of one command only, so that it can't stay on.
	AcceptLoss checkpoint.GTIDSet `key:"-"`
	// PublishedBefore is of such a flag, too.
	PublishedBefore time.Time `key:"-"`
}

// Source is the database server that is read.
type Source struct {
	Name                string        `key:"name" flag:"source-name" help:"name of the source, a token of its checkpoint subject; every relay of one database shares it (default: the DSN's database)"`
	DSN                 Secret        `key:"dsn" flag:"dsn" secret:"true" help:"server to read, user:password@tcp(host:3306)/database or …@unix(/path)/database; a flag shows in the process list, so give it by environment or file where there is a password"`
	DSNFile             string        `key:"dsn_file" help:"file that holds the DSN"`
	PasswordFile        string        `key:"password_file" help:"file that holds the password for a DSN without one"`
	Flavor              string        `key:"flavor" help:"mysql or mariadb; another kind of server is then refused (default: whichever it is)"`
	ServerID            uint32        `key:"server_id" default:"0" help:"replica ID, unique among the server's replicas; 0 picks a random one"`
	Tables              []string      `key:"tables" flag:"tables" default:"outbox" help:"outbox tables, table or database.table"`
	Start               string        `key:"start" flag:"start" default:"snapshot" help:"where to begin when there is no checkpoint: snapshot, earliest, latest, a GTID set, or file:offset on MySQL without GTIDs"`
	Columns             Columns       `key:"columns"`
	TLS                 TLS           `key:"tls"`
	Heartbeat           time.Duration `key:"heartbeat" default:"2s" help:"how often an idle server says that it is there"`
	ReadTimeout         time.Duration `key:"read_timeout" default:"0s" help:"silence after which the connection counts as dead; 0 is three heartbeats"`
	OnUpdate            string        `key:"on_update" default:"halt" help:"an UPDATE of an outbox row: halt, since it may be an upsert whose event would be lost, or ignore, for tables whose rows are marked"`
	OnInvalid           string        `key:"on_invalid" default:"quarantine" help:"a row that can't be published: quarantine stores it in the dead-letter stream before the position moves, halt stops"`
	OnGap               string        `key:"on_gap" default:"halt" help:"binlogs purged before they were read: halt, or rescan, which publishes the rows that the outbox tables still hold and the stream lacks; rows deleted meanwhile can't be found"`
	FailoverWait        time.Duration `key:"failover_wait" default:"30s" help:"wait for a replica that does not have the checkpoint's transactions yet, once it ceases to come nearer; then halt. 0 halts at once"`
	MaxTransactionBytes Bytes         `key:"max_transaction_bytes" default:"16MiB" help:"memory for one transaction; a larger one is read twice and published in parts"`
}

// Columns maps the columns of the outbox tables.
type Columns struct {
	ID        string `key:"id" default:"id" help:"column of the message ID"`
	Topic     string `key:"topic" default:"topic" help:"column of the topic"`
	Key       string `key:"key" default:"message_key" help:"column of the ordering key; - for none"`
	Headers   string `key:"headers" default:"headers" help:"column of the headers; - for none"`
	Payload   string `key:"payload" default:"payload" help:"column of the payload"`
	CreatedAt string `key:"created_at" default:"created_at" help:"column of the creation time; - for none"`
}

// TLS of one connection. Setting any key turns TLS on.
type TLS struct {
	Enabled            bool   `key:"enabled" default:"false" help:"use TLS with the system's CAs; any other tls key turns it on too"`
	CA                 string `key:"ca" help:"PEM file of the CAs to trust in place of the system's"`
	Cert               string `key:"cert" help:"PEM file of the client certificate; it is read again at each connect"`
	Key                string `key:"key" help:"PEM file of the client certificate's key"`
	ServerName         string `key:"server_name" help:"name that the server's certificate must have (default: the host)"`
	InsecureSkipVerify bool   `key:"insecure_skip_verify" default:"false" help:"accept any certificate: whoever sits between can read and change everything"`
}

// NATS is the broker. At most one way of authentication may be set.
type NATS struct {
	URL          []string `key:"url" flag:"nats-url" default:"nats://127.0.0.1:4222" secret:"true" help:"servers to connect to"`
	Creds        string   `key:"creds" help:"credentials file (.creds)"`
	NKey         string   `key:"nkey" help:"file that holds the NKey seed"`
	User         string   `key:"user" help:"user name"`
	Password     Secret   `key:"password" secret:"true" help:"password of nats.user"`
	PasswordFile string   `key:"password_file" help:"file that holds the password of nats.user"`
	Token        Secret   `key:"token" secret:"true" help:"token"`
	TokenFile    string   `key:"token_file" help:"file that holds the token"`
	TLS          TLS      `key:"tls"`
}

// Stream is where events go.
type Stream struct {
	Name          string `key:"name" flag:"stream" default:"OUTBOX" help:"stream to publish to"`
	SubjectPrefix string `key:"subject_prefix" default:"outbox" help:"events have the subject <prefix>.<topic>"`
	Partitions    int    `key:"partitions" default:"0" help:"with N > 0 the subject is <prefix>.<partition of the key>.<topic>; fixed for the life of the stream"`
	Manage        bool   `key:"manage" default:"true" help:"create the stream and its bucket when they are absent; what exists is never changed or shrunk"`
	Replicas      int    `key:"replicas" default:"1" help:"replicas of a stream that is created"`
}

// Relay is how the process publishes.
type Relay struct {
	Heartbeat     time.Duration `key:"heartbeat" default:"1s" help:"how often an idle leader writes its checkpoint; a standby takes over after three in silence; the same for all relays of a source"`
	HandOver      time.Duration `key:"hand_over" default:"0s" help:"how long the leader may be unable to reach the source before it lets another relay try; 0 is ten heartbeats"`
	CommitTimeout time.Duration `key:"commit_timeout" default:"2s" help:"wait for the answer to a commit before the stream is asked what happened"`
	Instance      string        `key:"instance" help:"name of this process, unique among the source's relays (default: host:pid:random)"`
}

// HTTP is the admin server.
type HTTP struct {
	Listen string `key:"listen" flag:"http-listen" default:"127.0.0.1:9188" help:"address of /healthz, /readyz and /metrics; empty turns them off"`
}

// Log is what is logged and how.
type Log struct {
	Level  string `key:"level" flag:"log-level" default:"info" help:"debug, info, warn or error"`
	Format string `key:"format" flag:"log-format" default:"auto" help:"console, json, or auto: console on a terminal and JSON otherwise"`
}

// Database is the source as it is connected to.
type Database struct {
	// Net is tcp or unix, Addr host:port or the path of the socket.
	Net, Addr string
	User      string
	Password  Secret
	Name      string // the DSN's database; may be empty
	TLS       *tls.Config
}

// Broker is NATS as it is connected to.
type Broker struct {
	Password, Token Secret
	NKey            nats.Option // logs in by the seed; nil without one
	TLS             *tls.Config
}

package config

import (
	"crypto/tls"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
)

// Config is everything that can be set. The tags of a leaf are all that is said of
// it anywhere; [Keys] reads them:
//
//   - key: its name in its section
//   - default: in the spelling of the file; none is the zero value
//   - help: what it is, in one line
//   - danger: what goes wrong for whoever sets it without care, in one line
//   - unit: what a whole number counts; durations and sizes carry theirs
//   - enum: the only values that it takes, separated by commas
//   - type: "path" for the name of a file
//   - flag: the command line flag that it also has
//   - secret: "true" hides its value wherever it is shown
//   - reload: "true" for what SIGHUP changes while the process runs
type Config struct {
	Source    Source    `key:"source"`
	NATS      NATS      `key:"nats"`
	Stream    Stream    `key:"stream"`
	Relay     Relay     `key:"relay"`
	Retention Retention `key:"retention"`
	HTTP      HTTP      `key:"http"`
	Tracing   Tracing   `key:"tracing"`
	Log       Log       `key:"log"`

	// File is the one that was read, "" for none. Database and Broker are what the
	// keys above amount to: parsed, with the secrets read from their files.
	File     string   `key:"-"`
	Database Database `key:"-"`
	Broker   Broker   `key:"-"`
	Admin    Admin    `key:"-"`
	// Warnings are about what works and is dangerous, such as a secret's file that
	// everybody can read. Each is one line.
	Warnings []string `key:"-"`
	// AcceptLoss is set by a flag of one command only, so that it can't stay on.
	AcceptLoss checkpoint.GTIDSet `key:"-"`
	// PublishedBefore is of such a flag, too.
	PublishedBefore time.Time `key:"-"`
}

// Source is the database server that is read.
type Source struct {
	Name                string        `key:"name" flag:"source-name" help:"name of the source, a token of its checkpoint subject; every relay of one database shares it (default: the DSN's database)" danger:"another name is another checkpoint: binjet would begin anew, and publish again what the stream holds"`
	DSN                 Secret        `key:"dsn" flag:"dsn" secret:"true" help:"server to read, user:password@tcp(host:3306)/database or …@unix(/path)/database" danger:"a flag shows in the process list: give it by environment or file where it holds a password"`
	DSNFile             string        `key:"dsn_file" type:"path" help:"file that holds the DSN; user and password are read from it again at each connect" danger:"the address is not followed: when the file names another server, restart"`
	PasswordFile        string        `key:"password_file" type:"path" help:"file that holds the password for a DSN without one; it is read again at each connect"`
	Flavor              string        `key:"flavor" enum:"mysql,mariadb" help:"kind of server; another kind is then refused (default: whichever it is)"`
	ServerID            uint32        `key:"server_id" default:"0" unit:"ID" help:"replica ID, unique among the server's replicas; 0 picks a random one" danger:"two replicas of one ID throw each other out, again and again"`
	Tables              []string      `key:"tables" flag:"tables" default:"outbox" help:"outbox tables, table or database.table" danger:"a table that is taken out is not read meanwhile: what it gets is not published later"`
	Start               string        `key:"start" flag:"start" default:"snapshot" help:"where to begin when there is no checkpoint: snapshot, earliest, latest, a GTID set, or file:offset on MySQL without GTIDs" danger:"earliest and latest miss what was purged, or was there before"`
	Preset              string        `key:"preset" default:"binjet" enum:"binjet,debezium" help:"design of the outbox tables: binjet, as binjet init makes them, or debezium, as Debezium's outbox event router reads them; the keys of columns, route, headers and content_type override it"`
	Columns             Columns       `key:"columns"`
	Route               Route         `key:"route"`
	Headers             []string      `key:"headers" help:"columns that become headers: column or column:Header-Name, with a ? behind the column where a table may lack it (default: none; debezium: type:eventType)"`
	ContentType         string        `key:"content_type" help:"Content-Type of events whose row says none; - for none (default: none; debezium: application/json)"`
	BinaryUUID          string        `key:"binary_uuid" default:"standard" enum:"standard,swapped" help:"how BINARY(16) columns hold UUIDs: standard, or swapped for MySQL's UUID_TO_BIN(x, 1)" danger:"changed later, events that are read again have other message IDs"`
	TLS                 TLS           `key:"tls"`
	Heartbeat           time.Duration `key:"heartbeat" default:"2s" help:"how often an idle server says that it is there"`
	ReadTimeout         time.Duration `key:"read_timeout" default:"0s" help:"silence after which the connection counts as dead; 0 is three heartbeats" danger:"too short, and an idle or busy server looks dead"`
	OnUpdate            string        `key:"on_update" default:"halt" enum:"halt,ignore" help:"an UPDATE of an outbox row: halt, since it may be an upsert whose event would be lost, or ignore, for tables whose rows are marked" danger:"with ignore, an upsert of an ID that exists is a lost event"`
	OnInvalid           string        `key:"on_invalid" default:"quarantine" enum:"quarantine,halt" help:"a row that can't be published: quarantine stores it in the dead-letter stream before the position moves, halt stops" danger:"halt stops all events behind that row until somebody acts"`
	OnGap               string        `key:"on_gap" default:"halt" enum:"halt,rescan" help:"binlogs purged before they were read: halt, or rescan, which publishes the rows that the outbox tables still hold and the stream lacks" danger:"a rescan can't find rows that were deleted meanwhile: their events are lost"`
	FailoverWait        time.Duration `key:"failover_wait" default:"30s" help:"wait for a replica that does not have the checkpoint's transactions yet, once it ceases to come nearer; then halt. 0 halts at once"`
	MaxTransactionBytes Bytes         `key:"max_transaction_bytes" default:"16MiB" help:"memory for one transaction; a larger one is read twice and published in parts" danger:"each process holds that much, and single rows come on top: set its memory limit accordingly"`
}

// Columns maps the columns of the outbox tables. Loaded, it holds what the preset
// names where a key was not set.
type Columns struct {
	ID        string `key:"id" help:"column of the message ID, text or UUID (default: id)" danger:"two rows of one ID are one event to consumers"`
	Topic     string `key:"topic" help:"column of the topic (default: topic; debezium: none, but source.route.topic)"`
	Key       string `key:"key" help:"column of the ordering key; - for none (default: message_key; debezium: aggregateid)"`
	Headers   string `key:"headers" help:"column of the headers; - for none (default: headers; debezium: none)"`
	Payload   string `key:"payload" help:"column of the payload (default: payload)"`
	CreatedAt string `key:"created_at" help:"column of the creation time; - for none (default: created_at; debezium: none)"`
	Tracing   string `key:"tracing" help:"column of the tracing context as Java properties, each of which becomes a header; with a ? behind it where a table may lack it (default: none; debezium: tracingspancontext?)"`
}

// Route makes topic and key of templates.
type Route struct {
	Topic string `key:"topic" help:"topic in place of source.columns.topic: text with ${column} in it, $$ for a dollar sign (default: none; debezium: ${aggregatetype}.${type})"`
	Key   string `key:"key" help:"ordering key in place of source.columns.key, made as source.route.topic is (default: none)"`
}

// TLS of one connection. Setting any key turns TLS on.
type TLS struct {
	Enabled            bool   `key:"enabled" default:"false" help:"use TLS with the system's CAs; any other tls key turns it on too"`
	CA                 string `key:"ca" type:"path" help:"PEM file of the CAs to trust in place of the system's; it is read again at each connect"`
	Cert               string `key:"cert" type:"path" help:"PEM file of the client certificate; it is read again at each connect"`
	Key                string `key:"key" type:"path" help:"PEM file of the client certificate's key"`
	ServerName         string `key:"server_name" help:"name that the server's certificate must have (default: the host)"`
	InsecureSkipVerify bool   `key:"insecure_skip_verify" default:"false" help:"accept any certificate" danger:"whoever sits between can read and change everything"`
}

// NATS is the broker. At most one way of authentication may be set.
type NATS struct {
	URL          []string `key:"url" flag:"nats-url" default:"nats://127.0.0.1:4222" secret:"true" help:"servers to connect to" danger:"a password in it is visible to whoever reads the file: use creds, nkey or the _file keys"`
	Creds        string   `key:"creds" type:"path" help:"credentials file (.creds); it is read again at each connect"`
	NKey         string   `key:"nkey" type:"path" help:"file that holds the NKey seed" danger:"a seed of another key is another user: that needs a restart"`
	User         string   `key:"user" help:"user name"`
	Password     Secret   `key:"password" secret:"true" help:"password of nats.user"`
	PasswordFile string   `key:"password_file" type:"path" help:"file that holds the password of nats.user; it is read again at each connect"`
	Token        Secret   `key:"token" secret:"true" help:"token"`
	TokenFile    string   `key:"token_file" type:"path" help:"file that holds the token; it is read again at each connect"`
	TLS          TLS      `key:"tls"`
	InboxPrefix  string   `key:"inbox_prefix" default:"_INBOX" help:"replies come on subjects below it; one of its own for each user keeps users from reading each other's" danger:"the user has to have the right to subscribe to <prefix>.>, or nothing is answered"`
}

// Stream is where events go.
type Stream struct {
	Name          string `key:"name" flag:"stream" default:"OUTBOX" help:"stream to publish to" danger:"another stream holds no checkpoint: binjet would begin anew"`
	SubjectPrefix string `key:"subject_prefix" default:"outbox" help:"events have the subject <prefix>.<topic>" danger:"consumers filter by it: change it only with them"`
	Partitions    int    `key:"partitions" default:"0" unit:"partitions" help:"with N > 0 the subject is <prefix>.<partition of the key>.<topic>" danger:"fixed for the life of the stream: with another number a key would change its partition, and lose its order"`
	Manage        bool   `key:"manage" default:"true" help:"create the stream and its bucket when they are absent; what exists is never changed or shrunk"`
	Replicas      int    `key:"replicas" default:"1" unit:"replicas" help:"replicas of a stream that is created" danger:"with 1, what the one server loses is gone until it is published again from the binlog"`
}

// Relay is how the process publishes.
type Relay struct {
	Heartbeat     time.Duration `key:"heartbeat" default:"1s" help:"how often an idle leader writes its checkpoint; a standby takes over after three in silence" danger:"has to be the same for all relays of a source, or a standby takes over from a leader that is well"`
	HandOver      time.Duration `key:"hand_over" default:"0s" help:"how long the leader may be unable to reach the source before it lets another relay try; 0 is ten heartbeats"`
	CommitTimeout time.Duration `key:"commit_timeout" default:"2s" help:"wait for the answer to a commit before the stream is asked what happened" danger:"shorter than the broker needs, and the stream is asked after every commit"`
	Instance      string        `key:"instance" help:"name of this process, unique among the source's relays (default: host:pid:random)" danger:"two processes of one name can't be told apart in the log; the broker still lets one write only"`
}

// Retention is how long rows stay in the outbox tables.
type Retention struct {
	Keep      time.Duration `key:"keep" default:"0s" help:"age, by created_at, up to which rows stay in the outbox tables; older ones that are safely in the stream are pruned by the leader; 0 prunes nothing" danger:"rows are what mends purged binlogs (source.on_gap) and a lost stream: keep them for longer than binlogs are kept; needs SELECT and DELETE on the tables"`
	Interval  time.Duration `key:"interval" default:"1m" reload:"true" help:"pause between two rounds of pruning"`
	BatchRows int           `key:"batch_rows" default:"500" unit:"rows" reload:"true" help:"rows that one DELETE, which is a transaction, takes at most; 1 to 5000" danger:"large transactions make replicas lag"`
	Pause     time.Duration `key:"pause" default:"100ms" reload:"true" help:"pause between two DELETEs; with retention.batch_rows it bounds the rate" danger:"too long for what is inserted, and the tables grow: see binjet_prune_oldest_kept_timestamp_seconds"`
}

// HTTP is the admin server.
type HTTP struct {
	Listen       string  `key:"listen" flag:"http-listen" default:"127.0.0.1:9188" help:"address of /healthz, /readyz, /metrics and the dashboard; empty turns them off" danger:"whoever reaches it can read the probes and the metrics: bind it to loopback, or keep others out; the dashboard is served on it to this machine, or with http.token"`
	ReadyStandby bool    `key:"ready_standby" default:"true" help:"/readyz says yes for a standby that could take over, too; false: for the leader only, as /readyz?leader=1 does" danger:"with false a rollout in Kubernetes waits for ever, since only one of the pods is ever ready"`
	Token        Secret  `key:"token" secret:"true" help:"token that opens the dashboard, at least 16 characters; without one it is open to this machine, and to no other; the probes and metrics need none" danger:"who has it can read every message, and replay and drop dead letters"`
	TokenFile    string  `key:"token_file" help:"file that holds the token; it is read again at each request"`
	TLS          HTTPTLS `key:"tls"`
}

// HTTPTLS makes the admin server speak TLS.
type HTTPTLS struct {
	Cert string `key:"cert" help:"PEM file of the admin server's certificate and its chain; it is read again when it changes"`
	Key  string `key:"key" help:"PEM file of that certificate's key"`
}

// Admin is the admin server as it is served.
type Admin struct {
	// Token is "" where there is none. TokenFile is the file that it was read from, and
	// is to be read from again; "" for none.
	Token     Secret
	TokenFile string
}

// Tracing is where the streamer's spans go.
type Tracing struct {
	Endpoint string `key:"endpoint" help:"OTLP receiver (HTTP) for a span from commit to stream of each event whose trace is sampled, as http://127.0.0.1:4318; empty: as OTEL_EXPORTER_OTLP_ENDPOINT says, and off without it"`
	Sampling Share  `key:"sampling" default:"1" reload:"true" help:"share of the sampled traces that get such spans, 0 to 1; services decide which traces are sampled"`
}

// Log is what is logged and how.
type Log struct {
	Level  string `key:"level" flag:"log-level" default:"info" enum:"debug,info,warn,error" reload:"true" help:"the least level that is logged" danger:"debug logs every connection and check"`
	Format string `key:"format" flag:"log-format" default:"auto" enum:"auto,console,json" help:"console, json, or auto: console on a terminal and JSON otherwise"`
}

// Database is the source as it is connected to at first; [Database.Renew] says how
// at a later connect.
type Database struct {
	// Net is tcp or unix, Addr host:port or the path of the socket.
	Net, Addr string
	User      string
	Password  Secret
	Name      string // the DSN's database; may be empty
	TLS       *tls.Config

	renewal renewal
}

// Broker is NATS as it is connected to.
type Broker struct {
	Password, Token Secret
	// PasswordFile and TokenFile are where these came from, to be read again at each
	// connect; "" for those that stand in a key.
	PasswordFile, TokenFile string

	NKey nats.Option // logs in by the seed; nil without one
	TLS  *tls.Config
}

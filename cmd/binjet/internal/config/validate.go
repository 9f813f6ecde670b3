package config

import (
	"crypto/tls"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/prune"
)

// validate checks what the libraries would refuse later, so that every fault is
// told at once and by the key's name.
func (l *loader) validate() {
	l.validateSource()
	l.validateTables()
	l.validateMapping()
	l.validateNATS()
	l.validateStream()
	l.validateRetention()
	l.validateProcess()
}

func (l *loader) validateRetention() {
	r := &l.cfg.Retention
	l.faultIf(r.Keep < 0, "retention.keep", "%s is negative: 0 prunes nothing", r.Keep)
	l.faultIf(r.Keep > 0 && l.cfg.Source.Columns.CreatedAt == "-", "retention.keep", "is set, but source.columns.created_at is -: no column says how old a row is")
	l.faultIf(r.Interval < 0, "retention.interval", "%s is negative", r.Interval)
	l.faultIf(r.BatchRows < 1 || r.BatchRows > prune.MaxBatchRows, "retention.batch_rows", "%d is not 1 to %d", r.BatchRows, prune.MaxBatchRows)
	l.faultIf(r.Pause < 0, "retention.pause", "%s is negative", r.Pause)
}

func (l *loader) faultIf(bad bool, key, format string, args ...any) {
	if bad {
		l.fault(key, format, args...)
	}
}

func (l *loader) validateSource() {
	s := &l.cfg.Source
	dsnGiven := l.cfg.Database.Addr != ""
	switch err := binjet.CheckToken(s.Name); {
	case s.Name == "" && dsnGiven:
		l.fault("source.name", "is missing, and the DSN names no database to take it from: set it")
	case s.Name != "" && err != nil && l.isSet("source.name"):
		l.fault("source.name", "%s", err)
	case s.Name != "" && err != nil:
		l.fault("source.name", "is taken from the DSN's database and can't be used: %s: set it", err)
	}
	l.faultIf(s.Heartbeat < 100*time.Millisecond, "source.heartbeat", "%s is shorter than 100ms", s.Heartbeat)
	l.faultIf(s.ReadTimeout != 0 && s.ReadTimeout < 3*s.Heartbeat, "source.read_timeout",
		"%s is shorter than three source.heartbeat (%s): an idle server would look dead", s.ReadTimeout, 3*s.Heartbeat)
	l.faultIf(s.FailoverWait < 0, "source.failover_wait", "%s is negative: 0 is no wait", s.FailoverWait)
	l.faultIf(s.MaxTransactionBytes < 1<<10, "source.max_transaction_bytes", "%s is less than 1KiB", s.MaxTransactionBytes)
	l.faultIf(s.MaxTransactionBytes > 1<<40, "source.max_transaction_bytes", "%s is more than 1024GiB", s.MaxTransactionBytes)
	l.validateStart()
	l.faultIf(s.OnGap == "accept-loss", "source.on_gap", "can't be accept-loss, so that it can't stay on: run once with --accept-loss=<the transactions that the halt named>")
}

func (l *loader) validateStart() {
	s := &l.cfg.Source
	if slices.Contains([]string{"snapshot", "earliest", "latest"}, s.Start) {
		return
	}
	if _, err := checkpoint.ParseFilePosition(s.Start); err == nil {
		l.faultIf(s.Flavor == string(checkpoint.MariaDB), "source.start", "is the file position %s, but source.flavor is %s: give a GTID set", s.Start, s.Flavor)
		return
	}
	set, err := checkpoint.ParseGTIDSet(s.Start)
	switch {
	case err != nil || set.IsEmpty():
		l.fault("source.start", "%q is none of snapshot, earliest and latest, no GTID set and no file:offset", s.Start)
	case s.Flavor != "" && set.Flavor() != checkpoint.Flavor(s.Flavor):
		l.fault("source.start", "is a GTID set of %s, but source.flavor is %s", set.Flavor(), s.Flavor)
	}
}

func (l *loader) validateTables() {
	s := &l.cfg.Source
	l.faultIf(len(s.Tables) == 0, "source.tables", "is empty: name at least one outbox table")
	seen := make(map[string]bool)
	for _, t := range s.Tables {
		if _, err := binjet.QuoteTable(t); err != nil {
			l.fault("source.tables", "%s", err)
			continue
		}
		full := t
		if !strings.Contains(t, ".") {
			full = l.cfg.Database.Name + "." + t
			l.faultIf(l.cfg.Database.Name == "" && l.cfg.Database.Addr != "", "source.tables",
				"names %s without its database, and the DSN has none: write database.%s", t, t)
		}
		l.faultIf(seen[full], "source.tables", "names %s twice", full)
		seen[full] = true
	}
}

// validateNATS never shows an URL, since it may hold a password.
func (l *loader) validateNATS() {
	if err := binjet.CheckTopic(l.cfg.NATS.InboxPrefix); err != nil {
		l.fault("nats.inbox_prefix", "%s", strings.Replace(err.Error(), "topic ", "", 1))
	}
	urls := l.cfg.NATS.URL
	l.faultIf(len(urls) == 0, "nats.url", "is empty: write nats://host:4222")
	for i, raw := range urls {
		if !strings.Contains(raw, "://") {
			raw = "nats://" + raw
		}
		u, err := url.Parse(raw)
		which := ""
		if len(urls) > 1 {
			which = strconv.Itoa(i+1) + " "
		}
		switch {
		case err != nil || u.Hostname() == "":
			l.fault("nats.url", "%sis no address: write nats://host:4222", which)
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			l.fault("nats.url", "%shas scheme %q: nats, tls, ws and wss are known", which, u.Scheme)
		}
	}
}

func (l *loader) validateStream() {
	s := &l.cfg.Stream
	if err := binjet.CheckToken(s.Name); err != nil {
		l.fault("stream.name", "%s", err)
	}
	if err := binjet.CheckPrefix(s.SubjectPrefix); err != nil {
		l.fault("stream.subject_prefix", "%s", strings.TrimPrefix(err.Error(), "subject prefix: "))
	}
	l.faultIf(s.Partitions < 0, "stream.partitions", "%d is negative", s.Partitions)
	l.faultIf(s.Replicas < 1 || s.Replicas > 5, "stream.replicas", "%d is not 1 to 5", s.Replicas)
}

func (l *loader) validateProcess() {
	r := &l.cfg.Relay
	l.faultIf(r.Heartbeat < 50*time.Millisecond, "relay.heartbeat", "%s is shorter than 50ms", r.Heartbeat)
	l.faultIf(r.HandOver != 0 && r.HandOver < r.Heartbeat, "relay.hand_over", "%s is shorter than relay.heartbeat (%s)", r.HandOver, r.Heartbeat)
	l.faultIf(r.CommitTimeout < 10*time.Millisecond, "relay.commit_timeout", "%s is shorter than 10ms", r.CommitTimeout)
	if listen := l.cfg.HTTP.Listen; listen != "" {
		_, port, err := net.SplitHostPort(listen)
		n, portErr := strconv.ParseUint(port, 10, 16)
		l.faultIf(err != nil || portErr != nil || n > 65535, "http.listen", "%q is no host:port", listen)
	}
	l.validateHTTP()
	l.validateTracing()
}

// validateTracing never shows the URL, since it may hold a password.
func (l *loader) validateTracing() {
	if l.cfg.Tracing.Endpoint == "" {
		return
	}
	u, err := url.Parse(l.cfg.Tracing.Endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		l.fault("tracing.endpoint", "is no http:// or https:// URL: write it as http://127.0.0.1:4318")
	case u.User != nil:
		l.fault("tracing.endpoint", "holds a login: give that by OTEL_EXPORTER_OTLP_HEADERS in the environment")
	}
}

// MinToken is how long http.token is at least, in bytes: what can't be guessed over
// the network when it is random.
const MinToken = 16

func (l *loader) validateHTTP() {
	h, key := &l.cfg.HTTP, "http.token"
	if l.cfg.Admin.TokenFile != "" {
		key = "http.token_file"
	}
	token := l.cfg.Admin.Token
	l.faultIf(token != "" && len(token) < MinToken, key, "is shorter than %d characters: openssl rand -hex 16 makes one", MinToken)
	switch {
	case (h.TLS.Cert == "") != (h.TLS.Key == ""):
		l.fault("http.tls", "needs cert and key together")
	case h.TLS.Cert != "":
		if _, err := tls.LoadX509KeyPair(h.TLS.Cert, h.TLS.Key); err != nil {
			l.fault("http.tls.cert", "and http.tls.key are no pair that can be used: %s", strings.TrimPrefix(err.Error(), "tls: "))
		}
	}
}

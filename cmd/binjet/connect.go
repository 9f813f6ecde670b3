package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/internal/tlsfault"
	"github.com/binjet/binjet/relay"
)

// askTimeout bounds what is asked of a server before the relay runs.
const askTimeout = 15 * time.Second

// newReader makes the reader of the source. It connects to nothing yet.
func newReader(cfg config.Config, log *slog.Logger, hooks binlog.Hooks) (*binlog.Reader, error) {
	s, db := cfg.Source, cfg.Database
	return binlog.New(binlog.Config{
		Addr: db.Addr, User: db.User, Password: string(db.Password), TLS: db.TLS, Database: db.Name,
		Tables: s.Tables, Columns: binlog.Columns(s.Columns),
		ServerID: s.ServerID, Flavor: checkpoint.Flavor(s.Flavor), Start: s.Start,
		Heartbeat: s.Heartbeat, ReadTimeout: s.ReadTimeout, MaxTransactionBytes: int(s.MaxTransactionBytes), OnUpdate: s.OnUpdate, OnGap: s.OnGap,
		FailoverWait: failoverWait(s.FailoverWait), AcceptLoss: cfg.AcceptLoss,
		Logger: log, Hooks: hooks,
	})
}

// failoverWait: 0 is no wait in the configuration, and the default in the library.
func failoverWait(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// relayConfig is the relay's share of the configuration.
func relayConfig(cfg config.Config, nc *nats.Conn, source relay.Source, log *slog.Logger) relay.Config {
	return relay.Config{
		Source: source, Name: cfg.Source.Name, Conn: nc,
		Stream: cfg.Stream.Name, SubjectPrefix: cfg.Stream.SubjectPrefix, Partitions: cfg.Stream.Partitions,
		Manage: cfg.Stream.Manage, Replicas: cfg.Stream.Replicas,
		Instance: cfg.Relay.Instance, Heartbeat: cfg.Relay.Heartbeat, CommitTimeout: cfg.Relay.CommitTimeout,
		HandOver:  cfg.Relay.HandOver,
		OnInvalid: relay.InvalidPolicy(cfg.Source.OnInvalid), PublishedBefore: cfg.PublishedBefore,
		Logger: log,
	}
}

func natsLogin(cfg config.Config) (opts []nats.Option) {
	n, b := cfg.NATS, cfg.Broker
	switch {
	case n.Creds != "":
		opts = append(opts, nats.UserCredentials(n.Creds))
	case b.NKey != nil:
		opts = append(opts, b.NKey)
	case n.User != "":
		opts = append(opts, nats.UserInfo(n.User, string(b.Password)))
	case b.Token != "":
		opts = append(opts, nats.Token(string(b.Token)))
	}
	if b.TLS != nil {
		opts = append(opts, nats.Secure(b.TLS))
	}
	return opts
}

// Next steps for the source that more than one command gives.
const (
	nextSourceAddress = "start the server, or correct the address in source.dsn"
)

// tlsNextStep is what to do about a failed handshake, with the keys that it may be about.
func tlsNextStep(err error, keys string) string {
	return tlsfault.Next(err) + " (" + keys + ")"
}

const (
	sourceTLSKeys = "source.tls.ca, and source.tls.server_name, which is the host by default"
	natsTLSKeys   = "nats.tls.ca, and nats.tls.server_name, which is the host by default"
)

func natsNextStep(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		strings.Contains(err.Error(), "nonce"): // a credentials file without a seed
		return "check nats.creds, nats.nkey, nats.user or nats.token"
	case errors.Is(err, nats.ErrSecureConnRequired):
		return "the server wants TLS: set nats.tls.enabled, or nats.tls.ca for a CA of your own"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "the server has no TLS: leave nats.tls out, or turn TLS on there"
	case tlsfault.Is(err):
		return tlsNextStep(err, natsTLSKeys)
	}
	return "start the server, or correct nats.url"
}

// redactURLs lists servers without what may be a password.
func redactURLs(urls []string) string {
	list := make([]string, 0, len(urls))
	for _, raw := range urls {
		if !strings.Contains(raw, "://") {
			raw = "nats://" + raw
		}
		shown := "[unreadable]"
		if u, err := url.Parse(raw); err == nil {
			shown = u.Scheme + "://" + u.Host // a lone user name would be a token
		}
		list = append(list, shown)
	}
	return strings.Join(list, ", ")
}

// Error codes of the JetStream API that have a next step.
const (
	codeSubjectsOverlap = 10065
	codeReplicas        = 10074
	codeNoPeers         = 10005
)

// jetstreamNextStep is what to do about an error of JetStream; "" when the error
// says it all.
func jetstreamNextStep(err error) string {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode == codeSubjectsOverlap:
		return "another stream takes these subjects: set stream.name to it, or stream.subject_prefix or source.name to what no stream takes"
	case errors.As(err, &api) && (api.ErrorCode == codeReplicas || api.ErrorCode == codeNoPeers):
		return "set stream.replicas to what the cluster can hold; 1 without a cluster"
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		return "turn JetStream on (nats-server -js, or jetstream {} in its configuration) for this account"
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "the user may lack the right to publish to $JS.API.>, or the cluster has no leader: see the server's log"
	}
	return ""
}

// natsError words errors of JetStream that have a next step.
func natsError(nc *nats.Conn, err error) error {
	if next := jetstreamNextStep(err); next != "" {
		return advise(fmt.Errorf("NATS at %s: %w", nc.ConnectedUrlRedacted(), err), next)
	}
	return err
}

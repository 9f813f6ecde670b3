package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"syscall"
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
		Addr: db.Addr, User: db.User, Database: db.Name,
		Renew: func() (binlog.Login, error) {
			l, err := db.Renew()
			return binlog.Login{User: l.User, Password: string(l.Password), TLS: l.TLS}, err
		},
		Tables: s.Tables, Columns: binlog.Columns(s.Columns), Route: binlog.Route(s.Route),
		Headers: s.Headers, ContentType: s.ContentType, BinaryUUID: s.BinaryUUID,
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

// natsLogin is how to log in and by which certificates, read from their files again
// at each connect.
func natsLogin(cfg config.Config, log *slog.Logger) (opts []nats.Option) {
	n, b := cfg.NATS, cfg.Broker
	switch {
	case n.Creds != "":
		opts = append(opts, nats.UserCredentials(n.Creds))
	case b.NKey != nil:
		opts = append(opts, b.NKey)
	case n.User != "":
		password := renewed(log, "nats.password_file", b.PasswordFile, b.Password)
		opts = append(opts, nats.UserInfoHandler(func() (string, string) { return n.User, password() }))
	case b.Token != "":
		opts = append(opts, nats.TokenHandler(renewed(log, "nats.token_file", b.TokenFile, b.Token)))
	}
	if b.TLS != nil {
		opts = append(opts, nats.Secure(b.TLS))
	}
	if n.TLS.CA != "" {
		opts = append(opts, nats.RootCAs(n.TLS.CA))
	}
	return opts
}

// renewed returns a secret as its file holds it by then. While that can't be read
// the last one is used, since NATS asks for no error here.
func renewed(log *slog.Logger, key, path string, secret config.Secret) func() string {
	var mu sync.Mutex
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		if path == "" {
			return string(secret)
		}
		now, err := config.ReadSecret(path)
		if err != nil {
			log.Warn("a secret can't be read again; NATS is asked with the last one", "key", key, "error", err)
			return string(secret)
		}
		secret = now
		return string(secret)
	}
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
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF):
		// A refused client certificate too, where we write before its alert is read.
		return "the server ended the connection, and its log says why: one that wants a client certificate needs nats.tls.cert and nats.tls.key"
	}
	return "start the server, or correct nats.url"
}

// redactURLs lists servers without what may be a password.
func redactURLs(urls []string) string { return strings.Join(config.RedactURLs(urls), ", ") }

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

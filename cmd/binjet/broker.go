package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/internal/tlsfault"
)

// connectNATS connects once: a broker that can't be reached at the start is most
// often a wrong address, and waiting would hide it. Once connected, it reconnects
// for ever, and buffers nothing meanwhile, since what is sent late may be sent twice.
// A watch, where there is one, is told of it.
func connectNATS(cfg config.Config, log *slog.Logger, watch *admin.Watch) (*nats.Conn, error) {
	b := &broker{log: log, watch: watch}
	opts := []nats.Option{
		nats.Name("binjet " + cfg.Source.Name),
		nats.RetryOnFailedConnect(false),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.IgnoreAuthErrorAbort(), // credentials may be rotated while we run
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { b.lost(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.lost(err) }),
		nats.CustomReconnectDelay(b.delay),
		nats.ReconnectHandler(b.found),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("NATS reports an error", "error", err)
		}),
	}
	if cfg.NATS.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(cfg.NATS.InboxPrefix))
	}
	nc, err := nats.Connect(strings.Join(cfg.NATS.URL, ","), append(opts, natsLogin(cfg, log)...)...)
	if err != nil {
		return nil, advise(fmt.Errorf("connect to NATS at %s: %w", redactURLs(cfg.NATS.URL), described(err)), natsNextStep(err))
	}
	b.conn.Store(nc)
	log.Info("NATS is connected", "url", nc.ConnectedUrlRedacted(), "version", nc.ConnectedServerVersion())
	return nc, nil
}

// described adds the certificate that err is about.
func described(err error) error {
	if what := tlsfault.Describe(err); what != "" {
		return fmt.Errorf("%w: %s", err, what)
	}
	return err
}

// broker tells the log and the watch how the connection is.
type broker struct {
	log   *slog.Logger
	watch *admin.Watch
	conn  atomic.Pointer[nats.Conn]

	mu   sync.Mutex
	last string // that was logged
}

// lost says why there is no connection: each cause once, until there is one.
func (b *broker) lost(err error) {
	if err == nil { // closed by ourselves
		return
	}
	err, next := described(err), natsNextStep(err)
	if b.watch != nil {
		b.watch.BrokerLost(fmt.Errorf("%w; next: %s", err, next))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if text := err.Error(); text != b.last {
		b.last = text
		b.log.Warn("NATS is not connected; trying again", "error", err, "next", next)
	}
}

func (b *broker) found(nc *nats.Conn) {
	if b.watch != nil {
		b.watch.BrokerFound()
	}
	b.mu.Lock()
	b.last = ""
	b.mu.Unlock()
	b.log.Info("NATS is connected again", "url", nc.ConnectedUrlRedacted())
}

// delay is asked each time that all servers were tried, and grows to about two
// seconds. Nobody else tells what the client ran into behind the dialing, such as a
// certificate or a login that is refused.
func (b *broker) delay(attempt int) time.Duration {
	if nc := b.conn.Load(); nc != nil {
		b.lost(nc.LastError())
	}
	d := min(50*time.Millisecond<<min(attempt, 6), 2*time.Second)
	return d/2 + rand.N(d/2)
}

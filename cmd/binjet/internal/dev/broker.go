package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	usualNATSPort = 4222
	readyTimeout  = 30 * time.Second
)

// Broker is a nats-server with JetStream inside of this process.
type Broker struct{ srv *server.Server }

// StartBroker runs one on the home. The port is the given one, else that of the last
// start, else the usual one, or any where that is taken.
func StartBroker(h *Home, port int, log *slog.Logger) (*Broker, error) {
	if port == 0 {
		port = h.State.NATSPort
	}
	if port == 0 {
		port = usualNATSPort
		if taken(port) {
			port = server.RANDOM_PORT
		}
	} else if taken(port) {
		return nil, fmt.Errorf("start nats-server: port %d is taken: end what listens on it, or choose another one by --nats-port", port)
	}
	srv, err := server.NewServer(&server.Options{ServerName: "binjet-dev", Host: "127.0.0.1", Port: port, NoSigs: true,
		JetStream: true, StoreDir: h.path(natsDir)})
	if err != nil {
		return nil, fmt.Errorf("configure nats-server: %w", err)
	}
	srv.SetLoggerV2(natsLog{log}, false, false, false)
	b := &Broker{srv: srv}
	srv.Start()
	if !srv.ReadyForConnections(readyTimeout) {
		b.Close()
		return nil, fmt.Errorf("start nats-server on port %d: it accepts no connections after %s", port, readyTimeout)
	}
	addr, ok := srv.Addr().(*net.TCPAddr)
	if !ok {
		b.Close()
		return nil, errors.New("start nats-server: it listens on no TCP port")
	}
	h.State.NATSPort = addr.Port
	return b, nil
}

func taken(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return true
	}
	return l.Close() != nil
}

// URL is where clients connect.
func (b *Broker) URL() string { return b.srv.ClientURL() }

// Close shuts it down, and waits until it is gone.
func (b *Broker) Close() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

// natsLog is what of the server's log is of interest here.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l natsLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l natsLog) Fatalf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l natsLog) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l natsLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l natsLog) Tracef(string, ...any)           {}

func (l natsLog) say(level slog.Level, format string, v []any) {
	l.log.Log(context.Background(), level, "nats-server says", "text", fmt.Sprintf(format, v...))
}

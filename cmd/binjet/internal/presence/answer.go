package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// lookTimeout bounds a look at the source.
	lookTimeout = 3 * time.Second
	// fresh is how long a look counts, however many ask: each one is a connection.
	fresh = 5 * time.Second
	// waiting bounds those who are waiting for a look; who comes behind gets one answer only.
	waiting = 16
)

// Config of a process that answers.
type Config struct {
	Conn    *nats.Conn
	Subject string
	// Process is asked for each answer and must not block; its Source is ignored.
	Process func() Process
	// Look returns nil if the source can be read, else why not. One call at a time.
	Look func(context.Context) error
	Log  *slog.Logger
}

// Answer answers until the returned function is called. A broker that does not permit
// the subject is no error: then nobody can ask, and the connection's error handler says so.
func Answer(cfg Config) (stop func(), err error) {
	a := &answering{Config: cfg, asked: make(chan *nats.Msg, waiting)}
	sub, err := cfg.Conn.Subscribe(cfg.Subject, a.ask)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", cfg.Subject, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { a.run(ctx) })
	return func() {
		_ = sub.Unsubscribe() // it fails where the connection is closed
		cancel()
		wg.Wait()
	}, nil
}

type answering struct {
	Config
	asked chan *nats.Msg
	last  *Source // of run's goroutine
}

// ask gives the first answer.
func (a *answering) ask(msg *nats.Msg) {
	if msg.Reply == "" {
		return
	}
	a.answer(msg, nil)
	select {
	case a.asked <- msg:
	default:
	}
}

// run gives the second ones.
func (a *answering) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-a.asked:
			if a.last == nil || time.Since(a.last.Checked) > fresh {
				a.last = a.look(ctx)
			}
			a.answer(msg, a.last)
		}
	}
}

func (a *answering) look(ctx context.Context) *Source {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := a.Look(ctx)
	s := &Source{OK: err == nil, Checked: time.Now()}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

func (a *answering) answer(msg *nats.Msg, source *Source) {
	p := a.Process()
	p.Server, p.Source = a.Conn.ConnectedServerName(), source
	body, err := json.Marshal(p)
	if err == nil {
		err = msg.Respond(body)
	}
	if err != nil {
		a.Log.Debug("who asked for the status got no answer", "error", err)
	}
}

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

const selectOutbox = "SELECT id, message_key, payload FROM outbox"
const selectHistory = "SELECT event_id, order_id, version FROM history ORDER BY n"

// collect reads all there is: two tables and the stream.
func collect(ctx context.Context, d *database, js jetstream.JetStream, t *tally) (evidence, error) {
	e := evidence{Committed: t.committed, RolledBack: t.rolledBack}
	var err error
	e.Outbox, err = queryEvents(ctx, d.DB, selectOutbox, func(rows *sql.Rows, ev *event) error {
		var body []byte
		if err := rows.Scan(&ev.ID, &ev.Key, &body); err != nil {
			return err
		}
		return readVersion(ev, body)
	})
	if err != nil {
		return e, fmt.Errorf("read the outbox table: %w", err)
	}
	e.History, err = queryEvents(ctx, d.DB, selectHistory, func(rows *sql.Rows, ev *event) error {
		return rows.Scan(&ev.ID, &ev.Key, &ev.Version)
	})
	if err != nil {
		return e, fmt.Errorf("read the history: %w", err)
	}
	if e.Stream, err = readStream(ctx, js); err != nil {
		return e, fmt.Errorf("read the stream: %w", err)
	}
	return e, nil
}

func queryEvents(ctx context.Context, db *sql.DB, query string, scan func(*sql.Rows, *event) error) ([]event, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []event
	for rows.Next() {
		var ev event
		if err := scan(rows, &ev); err != nil {
			return nil, err
		}
		events = append(events, ev)
	}
	return events, rows.Err()
}

// readStream reads every message under the subjects of events, in the stream's order.
func readStream(ctx context.Context, js jetstream.JetStream) ([]event, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	all, err := js.OrderedConsumer(ctx, binjet.DefaultStream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{binjet.DefaultSubjectPrefix + ".>"},
	})
	if err != nil {
		return nil, err
	}
	left := all.CachedInfo().NumPending
	messages, err := all.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	var events []event
	for ; left > 0; left-- {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		ev := event{ID: m.Headers().Get(binjet.HeaderID), Key: m.Headers().Get(binjet.HeaderKey)}
		if err := readVersion(&ev, m.Data()); err != nil {
			return nil, err
		}
		events = append(events, ev)
	}
	return events, nil
}

func readVersion(ev *event, body []byte) error {
	var changed orderChanged
	if err := json.Unmarshal(body, &changed); err != nil {
		return fmt.Errorf("event %s: %w", ev.ID, err)
	}
	ev.Version = changed.Version
	return nil
}

// waitHandled waits until the reader has settled all that the stream has for it.
// The broker can't be made to tell, so it is asked.
func waitHandled(ctx context.Context, js jetstream.JetStream, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the reader did not settle all of the stream"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		reader, err := js.Consumer(ctx, binjet.DefaultStream, name)
		if err != nil {
			return fmt.Errorf("look at the reader's place: %w", err)
		}
		if info := reader.CachedInfo(); info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

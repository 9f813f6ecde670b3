package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/go-mysql-org/go-mysql/canal"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/nats-io/nats.go/jetstream"
)

// handler is what the documentation of canal shows: rows are published as they come,
// and the position is kept whenever canal says that it moved.
type handler struct {
	canal.DummyEventHandler
	js    jetstream.JetStream
	async bool
	state *os.File
	gtid  string
}

func follow(ctx context.Context, s spec, async bool) error {
	nc, js, err := connect(s.URL)
	if err != nil {
		return err
	}
	defer nc.Close()
	cfg := canal.NewDefaultConfig()
	cfg.Addr, cfg.User, cfg.Password, cfg.Flavor = s.Addr, "root", "", s.Flavor
	cfg.ServerID = 4243
	cfg.Dump.ExecutionPath = "" // no dump
	cfg.IncludeTableRegex = []string{"^" + s.Database + `\.outbox$`}
	cfg.Logger = slog.New(slog.DiscardHandler)
	c, err := canal.NewCanal(cfg)
	if err != nil {
		return err
	}
	h := &handler{js: js, async: async}
	if h.state, err = os.OpenFile(s.State, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return err
	}
	kept, err := io.ReadAll(h.state)
	if err != nil {
		return err
	}
	from := s.Before
	if len(kept) > 0 {
		from = string(kept)
	}
	set, err := mysql.ParseGTIDSet(s.Flavor, from)
	if err != nil {
		return err
	}
	c.SetEventHandler(h)
	defer context.AfterFunc(ctx, c.Close)()
	return c.StartFromGTID(set)
}

func (h *handler) OnGTID(_ *replication.EventHeader, e mysql.BinlogGTIDEvent) error {
	set, err := e.GTIDNext()
	if err == nil {
		h.gtid = set.String()
	}
	return err
}

func (h *handler) OnRow(e *canal.RowsEvent) error {
	if e.Action != canal.InsertAction {
		return nil
	}
	for _, values := range e.Rows {
		r, err := rowOf(e, values)
		if err != nil {
			return err
		}
		msg, err := r.message(h.gtid)
		if err != nil {
			return err
		}
		if h.async {
			_, err = h.js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute))
		} else {
			_, err = h.js.PublishMsg(context.Background(), msg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// OnPosSynced keeps the position. It is only ever longer, so it is written over.
func (h *handler) OnPosSynced(_ *replication.EventHeader, _ mysql.Position, set mysql.GTIDSet, _ bool) error {
	if set == nil {
		return errors.New("no GTID set")
	}
	_, err := h.state.WriteAt([]byte(set.String()), 0)
	return err
}

func (h *handler) String() string { return "outbox" }

func rowOf(e *canal.RowsEvent, values []any) (*row, error) {
	text := func(column string) (string, error) {
		i := e.Table.FindColumn(column)
		if i < 0 || i >= len(values) {
			return "", fmt.Errorf("no column %s", column)
		}
		switch v := values[i].(type) {
		case nil:
			return "", nil
		case string:
			return v, nil
		case []byte:
			return string(v), nil
		default:
			return fmt.Sprint(v), nil
		}
	}
	var r row
	var payload string
	var err error
	for column, to := range map[string]*string{"id": &r.id, "topic": &r.topic, "message_key": &r.key, "headers": &r.headers, "payload": &payload, "created_at": &r.created} {
		var e error
		*to, e = text(column)
		err = errors.Join(err, e)
	}
	r.payload = []byte(payload)
	return &r, err
}

package schema

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/outboxtable"
)

const (
	// publishTimeout bounds the wait, with the table locked, for a streamer that runs
	// to publish what was committed until then. An idle one says so each heartbeat.
	publishTimeout = 5 * time.Second
	askEvery       = 100 * time.Millisecond
)

// Dropper drops an outbox table once all of its rows are published.
type Dropper struct {
	DB    *sql.DB
	Table string
	// Published returns the position that the stream holds. Default: the table is
	// dropped, whatever is published.
	Published func(context.Context) (checkpoint.Position, error)
	// Verify says whether a position is one of this server's history. It may look at
	// the table, and so is asked before the lock.
	Verify func(context.Context, checkpoint.Position) error
}

// UnpublishedError says why a table with rows is not dropped.
type UnpublishedError struct {
	Table string
	// Cause is nil when rows are known not to be published.
	Cause  error
	Detail string
}

func (e *UnpublishedError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("table %s holds rows, and whether all of them are published is not known: %s: %v", e.Table, e.Detail, e.Cause)
	}
	return fmt.Sprintf("table %s holds rows that are not published: %s", e.Table, e.Detail)
}

// Unwrap returns the cause.
func (e *UnpublishedError) Unwrap() error { return e.Cause }

// Drop locks the table, compares the position that the stream holds with all that
// was committed by then, and drops it under the same lock, so that no row comes in
// between. A table without rows has nothing to lose. An *[UnpublishedError] says
// that nothing was dropped.
func (d Dropper) Drop(ctx context.Context) error {
	quoted, err := binjet.QuoteTable(d.Table)
	if err != nil {
		return err
	}
	conn, err := d.DB.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := boundWait(ctx, conn); err != nil {
		return err
	}
	if d.Published != nil {
		if err := d.secure(ctx, conn, quoted); err != nil {
			return err
		}
		defer release(conn)
	}
	if _, err := conn.ExecContext(ctx, "DROP TABLE "+quoted); err != nil {
		return fmt.Errorf("drop table %s: %w", d.Table, err)
	}
	return nil
}

// secure returns with the table locked and all of its rows published, or unlocks it.
func (d Dropper) secure(ctx context.Context, conn *sql.Conn, quoted string) error {
	before, err := d.rows(ctx, conn, quoted)
	if err != nil {
		return err
	}
	if before {
		if err := d.verify(ctx); err != nil {
			return err
		}
	}
	if _, err := conn.ExecContext(ctx, "LOCK TABLES "+quoted+" WRITE"); err != nil {
		return fmt.Errorf("lock table %s, to look whether all of its rows are published: %w", d.Table, err)
	}
	now, err := d.rows(ctx, conn, quoted)
	switch {
	case err != nil:
	case now && !before:
		err = &UnpublishedError{Table: d.Table, Detail: "the first one came just now"}
	case now:
		err = d.published(ctx, conn)
	}
	if err != nil {
		release(conn)
	}
	return err
}

func (d Dropper) rows(ctx context.Context, conn *sql.Conn, quoted string) (found bool, err error) {
	err = each(ctx, conn, func(*sql.Rows) error { found = true; return nil }, "SELECT 1 FROM "+quoted+" LIMIT 1")
	if err != nil {
		return false, fmt.Errorf("look for rows of table %s: %w", d.Table, err)
	}
	return found, nil
}

func (d Dropper) verify(ctx context.Context) error {
	at, err := d.Published(ctx)
	if err != nil {
		return &UnpublishedError{d.Table, err, "the checkpoint can't be read"}
	}
	if err := d.Verify(ctx, at); err != nil {
		return &UnpublishedError{d.Table, err, "the checkpoint can't be compared with this server"}
	}
	return nil
}

// release ends the lock: a connection goes back into the pool with what it holds.
func release(conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), askEvery*10)
	defer cancel()
	_, _ = conn.ExecContext(ctx, "UNLOCK TABLES")
}

// published waits until the stream holds all that was committed. The table is
// locked, so the end of the binlog is behind each of its rows.
func (d Dropper) published(ctx context.Context, conn *sql.Conn) error {
	end, err := binlogEnd(ctx, conn)
	if err != nil {
		return &UnpublishedError{d.Table, err, "the server does not say where its binlog ends"}
	}
	last, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		at, err := d.Published(ctx)
		if err != nil {
			return &UnpublishedError{d.Table, err, "the checkpoint can't be read"}
		}
		missing := lacks(at, end)
		if missing == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-last.Done():
			return &UnpublishedError{Table: d.Table, Detail: missing}
		}
	}
}

// lacks says what of the binlog up to end is not published at a position; "" for
// nothing.
func lacks(at, end checkpoint.Position) string {
	switch {
	case at.Snapshot != nil:
		return "a snapshot of the tables is not published wholly"
	case len(at.XA) > 0:
		return fmt.Sprintf("%d XA transactions are prepared and undecided", len(at.XA))
	case at.Binlog.IsZero() != end.Binlog.IsZero():
		return fmt.Sprintf("the checkpoint is at %s, which can't be compared with %s", at.Where(), end.Where())
	case !end.Binlog.IsZero() && at.Binlog.Before(end.Binlog):
		return fmt.Sprintf("the checkpoint is at %s, and the binlog ends at %s", at.Where(), end.Where())
	case end.Binlog.IsZero() && !at.Resume.ContainsSet(end.Resume):
		return fmt.Sprintf("the checkpoint lacks %s", end.Resume.Minus(at.Resume))
	}
	return ""
}

// binlogEnd is the position behind all that is committed on the server.
func binlogEnd(ctx context.Context, db outboxtable.Querier) (at checkpoint.Position, err error) {
	version, set, mode := "", "", "ON"
	if err = scan(ctx, db, "SELECT VERSION()", &version); err != nil {
		return at, err
	}
	if strings.Contains(version, "MariaDB") {
		err = scan(ctx, db, "SELECT @@GLOBAL.gtid_binlog_pos", &set)
	} else {
		err = scan(ctx, db, "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_mode", &set, &mode)
	}
	if err != nil {
		return at, err
	}
	if mode != "ON" {
		at.Binlog, err = fileEnd(ctx, db)
		return at, err
	}
	at.Resume, err = checkpoint.ParseGTIDSet(set)
	return at, err
}

// fileEnd is the end of the binlog by file and offset.
func fileEnd(ctx context.Context, db outboxtable.Querier) (at checkpoint.FilePosition, err error) {
	for _, q := range []string{"SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"} { // of 8.2 on, and of before
		var rest [3]sql.NullString
		err = scan(ctx, db, q, &at.File, &at.Offset, &rest[0], &rest[1], &rest[2])
		if err == nil {
			return at, nil
		}
	}
	return at, err
}

// scan reads the one row of a query.
func scan(ctx context.Context, db outboxtable.Querier, query string, into ...any) error {
	found := false
	err := each(ctx, db, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(into...)
	}, query)
	if err == nil && !found {
		err = fmt.Errorf("%s returns no row", query)
	}
	return err
}

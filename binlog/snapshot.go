package binlog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/binjet/binjet/checkpoint"
)

// A page of a snapshot, and so a part of it, is at most this large (or one row).
const (
	pageRows  = 500
	pageBytes = 2 << 20
)

// lockTimeout bounds the wait for the tables, in seconds: while we wait, every
// writer waits behind us, and so does what a replica applies. The server knows no
// shorter one. When it is over the writers go first, and it is tried again.
const lockTimeout = 1

// snapshot yields the rows that lay in the outbox tables at one exact position
// of the binlog, table by table in the order of the ID, and then its end. A
// statement that changes the tables waits until then: see pin, and rival.
//
// A snapshot that was cut can't be taken up again as it was: its read view is
// gone. But the rows of then are those of a new one without those inserted in
// between, which the binlog between the two positions tells. So a snapshot is of
// one position, the first, however often it is resumed.
func (s *stream) snapshot(ctx context.Context) error {
	if s.rescan != nil { // the connection was opened to read the binlog
		if _, err := s.ready(ctx, toSnapshot); err != nil {
			return err
		}
	}
	view, at, err := s.takeSnapshot(ctx)
	if err != nil {
		return fmt.Errorf("take a snapshot of the outbox tables: %w", err)
	}
	defer view.close()
	rival, stop := s.watchRivals(ctx, view)
	defer stop()
	return rival.cause(s.publish(ctx, view, at))
}

// publish yields the rows that view sees, as of the position at.
func (s *stream) publish(ctx context.Context, view *session, at checkpoint.Position) (err error) {
	pages := &pager{stream: s, session: view, at: at, progress: checkpoint.Snapshot{Begun: true, Rescan: s.rescan}}
	if done := s.at.Snapshot; s.rescan == nil && done.Begun {
		pages.at, pages.progress = checkpoint.Position{Resume: s.at.Resume.Clone(), Binlog: s.at.Binlog}, *done
		if pages.newer, err = s.between(ctx, view, at); err != nil {
			return err
		}
		s.log.Info("going on with a snapshot that was cut", "position", pages.at.Where(), "done", pages.progress.Done,
			"table", pages.progress.Table, "after", pages.progress.After, "rows", pages.progress.Rows, "estimated_rows", pages.progress.Estimate)
	} else {
		pages.progress.Estimate = s.estimate(ctx)
		s.log.Info("publishing the rows of a snapshot", "position", pages.at.Where(), "estimated_rows", pages.progress.Estimate)
	}
	pages.pace = newPace(s.log, pages.progress.Rows, time.Now())
	for _, t := range s.tables.list {
		if slices.Contains(pages.progress.Done, t.String()) {
			continue
		}
		if err := pages.table(t); err != nil {
			return err
		}
	}
	return pages.end()
}

// takeSnapshot returns a session that sees the tables as of the position at.
func (s *stream) takeSnapshot(ctx context.Context) (*session, checkpoint.Position, error) {
	view, err := s.connect(ctx)
	if err != nil {
		return nil, checkpoint.Position{}, err
	}
	at, err := s.beginSnapshot(ctx, view)
	if err != nil {
		view.close()
		return nil, at, err
	}
	return view, at, nil
}

// beginSnapshot has view see the tables as of the position at, from now on.
func (s *stream) beginSnapshot(ctx context.Context, view *session) (at checkpoint.Position, err error) {
	for _, q := range []string{"SET SESSION time_zone='+00:00'", "SET SESSION wait_timeout=86400", "SET NAMES utf8mb4",
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"} {
		if _, err := view.rows(q); err != nil {
			return at, err
		}
	}
	if s.srv.Flavor == checkpoint.MariaDB {
		at.Resume, err = s.snapshotMariaDB(ctx, view)
		return at, err
	}
	return s.snapshotMySQL(ctx, view)
}

// snapshotMariaDB: the server itself says where in the binlog a snapshot is. It is
// wrong by an XA COMMIT that is in the binlog and not yet in the engine, so where
// there are any, none may be under way.
func (s *stream) snapshotMariaDB(ctx context.Context, view *session) (at checkpoint.GTIDSet, err error) {
	pinned, err := s.pinned(ctx)
	if err != nil {
		return at, err
	}
	defer pinned.close()
	if at, err = view.positioned(); err != nil {
		return at, err
	}
	used, err := view.usesXA() // behind it: one under way was counted before
	if err != nil {
		return at, err
	}
	if used {
		lock, err := s.lockTables(ctx)
		if err != nil {
			return at, err
		}
		defer lock.close() // unlocks
		if at, err = view.positioned(); err != nil {
			return at, err
		}
	}
	return at, s.pin(view)
}

// usesXA: there were XA transactions since the server started, or some are prepared
// from before. A replica counts those that it applies as well, but for their prepare.
func (s *session) usesXA() (bool, error) {
	counts, err := s.rows("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_xa_start', 'Com_xa_prepare', 'Com_xa_commit')")
	if err != nil {
		return false, err
	}
	prepared, err := s.rows("XA RECOVER")
	counted := slices.ContainsFunc(counts, func(row []string) bool { return row[1] != "0" })
	return counted || len(prepared) > 0, err
}

// positioned begins a snapshot and returns where in the binlog it is.
func (s *session) positioned() (at checkpoint.GTIDSet, err error) {
	if _, err = s.rows("START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return at, err
	}
	rows, err := s.rows("SHOW STATUS LIKE 'binlog_snapshot_%'")
	if err != nil {
		return at, err
	}
	var file, pos string
	for _, r := range rows {
		switch r[0] {
		case "Binlog_snapshot_file", "binlog_snapshot_file":
			file = r[1]
		case "Binlog_snapshot_position", "binlog_snapshot_position":
			pos = r[1]
		}
	}
	if file == "" || pos == "" {
		return at, fmt.Errorf("the server does not say where in the binlog the snapshot is (binlog_snapshot_file)")
	}
	row, err := s.row("SELECT BINLOG_GTID_POS('" + file + "', " + pos + ")")
	if err != nil {
		return at, err
	}
	return checkpoint.ParseGTIDSet(row[0])
}

// snapshotMySQL keeps writers of the tables out for the moment in which the
// position is read and the snapshot begins.
func (s *stream) snapshotMySQL(ctx context.Context, view *session) (at checkpoint.Position, err error) {
	lock, err := s.lockTables(ctx)
	if err != nil {
		return at, err
	}
	defer lock.close() // unlocks
	if at, err = s.end(lock); err != nil {
		return at, err
	}
	if _, err := view.rows("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
		return at, err
	}
	if err := s.pin(view); err != nil {
		return at, err
	}
	if _, err := lock.rows("UNLOCK TABLES"); err != nil || at.Binlog.IsZero() {
		return at, err
	}
	at.Binlog.Created, err = s.created(ctx, at.Binlog.File)
	return at, err
}

// end is the position that a session of MySQL sees the binlog at, of the kind that
// the stream's is or will be.
func (s *stream) end(c *session) (at checkpoint.Position, err error) {
	if !s.at.Binlog.IsZero() || unread(s.at) && s.srv.withoutGTIDs() {
		at.Binlog, err = c.logEnd()
		return at, err
	}
	row, err := c.row("SELECT @@GLOBAL.gtid_executed")
	if err != nil {
		return at, err
	}
	at.Resume, err = checkpoint.ParseGTIDSet(row[0])
	return at, err
}

// lockTables returns a session that keeps writers of the tables out. Without
// autocommit the lock is one of InnoDB's, too, which also waits for prepared XA
// transactions that have no session any more, and for their commit in the engine.
func (s *stream) lockTables(ctx context.Context) (lock *session, err error) {
	if lock, err = s.connect(ctx); err != nil {
		return nil, err
	}
	query := "LOCK TABLES "
	for i, t := range s.tables.list {
		if i > 0 {
			query += ", "
		}
		query += t.quoted() + " READ"
	}
	for _, q := range []string{fmt.Sprintf("SET SESSION lock_wait_timeout=%d", lockTimeout),
		fmt.Sprintf("SET SESSION innodb_lock_wait_timeout=%d", lockTimeout), "SET SESSION autocommit=0", query} {
		if _, err = lock.rows(q); err != nil {
			break
		}
	}
	switch serverCode(err) {
	case mysql.ER_LOCK_WAIT_TIMEOUT:
		err = fmt.Errorf("a transaction that wrote to an outbox table stays open, or is an undecided XA transaction (XA RECOVER): %w", err)
	case mysql.ER_DBACCESS_DENIED_ERROR, mysql.ER_TABLEACCESS_DENIED_ERROR:
		err = halt(err, "GRANT LOCK TABLES on the schema of the outbox tables", "XA transactions are in use, so a snapshot has to lock the outbox tables for a moment")
	}
	if err != nil {
		lock.close()
		return nil, err
	}
	return lock, nil
}

package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/binjet/binjet"
)

// Defaults of [Pruner] and [Pace].
const (
	DefaultPruneEvery = 5 * time.Minute
	DefaultPruneBatch = 500
	DefaultPrunePause = 50 * time.Millisecond
)

// Pace bounds what a clean-up does to the database.
type Pace struct {
	// Batch is how many marks go in one transaction. Default: 500.
	Batch int
	// Pause is the wait between two of these. Default: 50 ms.
	Pause time.Duration
	// Limit is how many marks go in one call at most. Default: 0, all that are old.
	Limit int64
}

func (p Pace) withDefaults() (Pace, error) {
	if p.Batch == 0 {
		p.Batch = DefaultPruneBatch
	}
	if p.Pause == 0 {
		p.Pause = DefaultPrunePause
	}
	if p.Batch < 0 || p.Batch > batchLimit || p.Pause < 0 || p.Limit < 0 {
		return p, fmt.Errorf("pace %+v: Batch is 1 to %d, Pause and Limit are not negative", p, batchLimit)
	}
	return p, nil
}

// pruning is what a dialect needs for it. Points in time travel as the database
// itself writes them, so that no driver's settings and no session's time zone
// have a say.
type pruning struct {
	cutoff string // the time so many microseconds ago, by the database's clock
	begin  string // before any time
	time   func(placeholder string) string
	text   string // created_at as text
	tx     *sql.TxOptions
}

// Prune deletes the consumer's marks that were made more than olderThan ago, by
// the database's clock, and returns how many that were. It goes from the oldest
// on in small transactions, each by primary keys that were read without a lock,
// so that it never makes a claim wait. Any number of processes may do it at the
// same time. It needs SELECT and DELETE on the table, and on MySQL and MariaDB a
// row-based binlog, if any.
//
// Danger: a message whose mark is gone is handled again when it comes again. Keep
// marks for longer than the stream keeps messages, and than anything you replay.
func (s *SQL) Prune(ctx context.Context, db *sql.DB, consumer string, olderThan time.Duration, pace Pace) (int64, error) {
	pace, err := pace.withDefaults()
	if err == nil {
		err = binjet.CheckToken(consumer)
	}
	if err == nil && olderThan <= 0 {
		err = fmt.Errorf("marks older than %s: give a positive time", olderThan)
	}
	if err != nil {
		return 0, fmt.Errorf("inbox: prune: %w", err)
	}
	p := &pruneRun{pruning: s.speech.prune(), sql: s, db: db, consumer: consumer, pace: pace}
	pruned, err := p.run(ctx, olderThan)
	if err != nil {
		return pruned, fmt.Errorf("inbox: prune %s of consumer %s after %d marks: %w", s.table, consumer, pruned, s.explain(err))
	}
	return pruned, nil
}

// pruneRun is one call of Prune.
type pruneRun struct {
	pruning
	sql          *SQL
	db           *sql.DB
	consumer     string
	pace         Pace
	before       string
	lastAt, last string // where the last batch ended
}

func (p *pruneRun) run(ctx context.Context, olderThan time.Duration) (pruned int64, err error) {
	if err := p.db.QueryRowContext(ctx, p.cutoff, olderThan.Microseconds()).Scan(&p.before); err != nil {
		return 0, fmt.Errorf("ask for the time: %w", err)
	}
	for p.lastAt = p.begin; ; {
		n := int64(p.pace.Batch)
		if p.pace.Limit > 0 {
			n = min(n, p.pace.Limit-pruned)
		}
		ids, err := p.next(ctx, n)
		if err != nil || len(ids) == 0 {
			return pruned, err
		}
		gone, err := p.remove(ctx, ids)
		pruned += gone
		if err != nil || int64(len(ids)) < n || pruned == p.pace.Limit {
			return pruned, err
		}
		select {
		case <-time.After(p.pace.Pause):
		case <-ctx.Done():
			return pruned, ctx.Err()
		}
	}
}

// next reads the oldest marks behind those of the batch before. What is deleted
// stays in an index for a while; to begin at the front each time would read it
// again and again.
func (p *pruneRun) next(ctx context.Context, n int64) ([]string, error) {
	t := p.sql.speech.place
	query := "SELECT message_id, " + p.text + " FROM " + p.sql.speech.quotedTable() +
		" WHERE consumer = " + t(1) + " AND created_at >= " + p.time(t(2)) + " AND created_at < " + p.time(t(3)) +
		" AND (created_at > " + p.time(t(4)) + " OR message_id > " + t(5) + ")" +
		fmt.Sprintf(" ORDER BY created_at, message_id LIMIT %d", n)
	rows, err := p.db.QueryContext(ctx, query, p.consumer, p.lastAt, p.before, p.lastAt, p.last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		if err := rows.Scan(&p.last, &p.lastAt); err != nil {
			return nil, err
		}
		ids = append(ids, p.last)
	}
	return ids, rows.Err()
}

// remove deletes marks by primary key. Another process may have deleted some, and
// one of them may have been made anew since it was read: the age is asked again.
func (p *pruneRun) remove(ctx context.Context, ids []string) (int64, error) {
	tx, err := p.db.BeginTx(ctx, p.tx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit this does nothing
	query, args := p.sql.speech.remove(p.consumer, p.before, ids)
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	gone, err := result.RowsAffected()
	if err != nil {
		return 0, err
	}
	return gone, tx.Commit()
}

// Pruner prunes one consumer's marks again and again. A consumer whose inbox has
// a Retention does this by itself; a Pruner is for those who would rather run it
// elsewhere.
type Pruner struct {
	// Inbox and DB say where the marks are. Both are required.
	Inbox *SQL
	DB    *sql.DB
	// Consumer is whose marks. It is required.
	Consumer string
	// OlderThan is how old a mark has to be. Default: the inbox's Retention; one of
	// them has to be set.
	OlderThan time.Duration
	// Every is the time from one clean-up to the next, give or take a tenth.
	// Default: 5 min.
	Every time.Duration
	// Pace bounds each. Default: small batches with pauses.
	Pace Pace
	// Log is told what was pruned (debug) and what failed (error). Default: slog.Default().
	Log *slog.Logger
}

// Run prunes now and then every so often until ctx ends, and returns nil. A
// clean-up that fails is logged, and the next one comes at its time. The error is
// for what is missing in p.
func (p Pruner) Run(ctx context.Context) error {
	if p.Inbox == nil || p.DB == nil {
		return errors.New("inbox: pruner: Inbox and DB are required")
	}
	if p.OlderThan == 0 {
		p.OlderThan = p.Inbox.retention
	}
	if p.Every == 0 {
		p.Every = DefaultPruneEvery
	}
	if p.Log == nil {
		p.Log = slog.Default()
	}
	if err := p.validate(); err != nil {
		return fmt.Errorf("inbox: pruner: %w", err)
	}
	for {
		p.once(ctx)
		select {
		case <-time.After(p.Every*9/10 + rand.N(p.Every/5+1)): // so that processes that began together part
		case <-ctx.Done():
			return nil
		}
	}
}

func (p Pruner) validate() error {
	_, paceErr := p.Pace.withDefaults()
	err := errors.Join(paceErr, binjet.CheckToken(p.Consumer))
	if p.OlderThan <= 0 {
		err = errors.Join(err, fmt.Errorf("marks older than %s (OlderThan, or the inbox's Retention): give a positive time", p.OlderThan))
	}
	if p.Every < 0 {
		err = errors.Join(err, fmt.Errorf("pruned every %s: give a positive time", p.Every))
	}
	return err
}

func (p Pruner) once(ctx context.Context) {
	start := time.Now()
	n, err := p.Inbox.Prune(ctx, p.DB, p.Consumer, p.OlderThan, p.Pace)
	attrs := []slog.Attr{slog.String("table", p.Inbox.table), slog.Int64("marks", n), slog.Duration("took", time.Since(start))}
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, ErrConflict):
		p.Log.LogAttrs(ctx, slog.LevelWarn, "the clean-up of old marks lost against another transaction; the next one goes on",
			append(attrs, slog.Any("error", err))...)
	case err != nil:
		p.Log.LogAttrs(ctx, slog.LevelError, "old marks of the inbox can't be deleted; its table grows (DELETE on it is needed, "+
			"or SQLConfig.Retention 0)", append(attrs, slog.Any("error", err))...)
	case n > 0:
		p.Log.LogAttrs(ctx, slog.LevelDebug, "old marks of the inbox were deleted", attrs...)
	}
}

// Maintain deletes the consumer's marks that are older than Retention, every few
// minutes until ctx ends. Without a Retention it returns at once.
// consumer.Consumer.Run calls it for each database that it handles messages in.
func (s *SQL) Maintain(ctx context.Context, db *sql.DB, consumer string, log *slog.Logger) {
	if s.retention == 0 {
		return
	}
	if err := (Pruner{Inbox: s, DB: db, Consumer: consumer, Log: log}).Run(ctx); err != nil {
		log.Error("old marks of the inbox are not deleted", slog.Any("error", err))
	}
}

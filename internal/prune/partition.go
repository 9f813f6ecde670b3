package prune

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/outboxtable"
	"github.com/binjet/binjet/internal/pause"
)

// asideSuffix is of the table that a partition's rows wait in until it is dropped.
const asideSuffix = "_pruned"

// partitioned prunes a table that is partitioned by day, and makes the days to come.
//
// A partition is not dropped where it is: rows may be committed into it up to that
// moment, by a transaction that was open for long. It is exchanged with an empty table
// beside it, which nobody writes to; only then the horizon is asked for, and once the
// stream covers that, the table is dropped. A pruner that dies in between leaves that
// table, and the next round goes on with it.
func (r *round) partitioned(ctx context.Context, s *session, t table, report *TableReport) error {
	cutoff, err := s.cutoff(ctx, r.cfg.Keep)
	if err != nil {
		return err
	}
	report.Before = cutoff
	if !r.cfg.DryRun {
		if err := r.addDays(ctx, s, t, cutoff.Add(r.cfg.Keep)); err != nil {
			return err
		}
		if err := r.dropAside(ctx, s, t); err != nil {
			return err
		}
	}
	for _, p := range outboxtable.Expired(t.partitions, cutoff) {
		if r.cfg.DryRun {
			report.Partitions = append(report.Partitions, p.Name)
			continue
		}
		if err := r.setAside(ctx, s, t, p); err != nil {
			return fmt.Errorf("partition %s: %w", p.Name, err)
		}
		if err := r.dropAside(ctx, s, t); err != nil {
			return fmt.Errorf("partition %s: %w", p.Name, err)
		}
		report.Partitions = append(report.Partitions, p.Name)
	}
	return nil
}

func (r *round) addDays(ctx context.Context, s *session, t table, now time.Time) error {
	more := outboxtable.Coming(t.partitions, now, binjet.DefaultDays)
	if len(more) == 0 {
		return nil
	}
	return r.alter(ctx, s, outboxtable.Add(t.quoted, t.partitions, more))
}

// setAside empties a partition into the table beside.
func (r *round) setAside(ctx context.Context, s *session, t table, p outboxtable.Partition) error {
	if !r.cfg.Active() {
		return ErrInactive
	}
	if _, err := r.prove(ctx, t, nil); err != nil { // or a rescan may miss rows that wait beside
		return err
	}
	for _, q := range []string{
		"CREATE TABLE " + t.aside() + " LIKE " + t.quoted,
		"ALTER TABLE " + t.aside() + " REMOVE PARTITIONING",
		"ALTER TABLE " + t.quoted + " EXCHANGE PARTITION " + quote(p.Name) + " WITH TABLE " + t.aside(),
	} {
		if err := r.alter(ctx, s, q); err != nil {
			return err
		}
	}
	return r.alter(ctx, s, outboxtable.Drop(t.quoted, []outboxtable.Partition{p}))
}

// dropAside drops the table beside, if there is one, once all that lies in it is in the stream.
func (r *round) dropAside(ctx context.Context, s *session, t table) error {
	there, err := s.exists(ctx, t.name+asideSuffix)
	if err != nil || !there {
		return err
	}
	h, err := r.prove(ctx, t, nil)
	if err != nil {
		return fmt.Errorf("its rows wait in %s: %w", t.aside(), err)
	}
	if err := r.allowed(ctx, h); err != nil {
		return err
	}
	return r.alter(ctx, s, "DROP TABLE "+t.aside())
}

// alter runs a statement that has to wait for whoever uses the table, with all
// others waiting behind it; so it waits a second at most, and tries again later.
func (r *round) alter(ctx context.Context, s *session, query string) error {
	for try := 1; ; try++ {
		_, err := s.conn.ExecContext(ctx, query)
		if err == nil || r.cfg.ErrorCode(err) != errLockWait || try == lockTries {
			if err != nil {
				err = fmt.Errorf("%s: %w", query, err)
			}
			return err
		}
		r.log.Debug("the table is in use; giving way", slog.String("statement", query))
		if err := pause.For(ctx, time.Duration(try)*time.Second); err != nil {
			return err
		}
	}
}

// aside is the quoted name of the table beside.
func (t table) aside() string { return strings.TrimSuffix(t.quoted, "`") + asideSuffix + "`" }

func (s *session) exists(ctx context.Context, name string) (bool, error) {
	schema, base, qualified := strings.Cut(name, ".")
	if !qualified {
		schema, base = "", name
	}
	n, err := s.one(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=COALESCE(NULLIF(?,''),DATABASE()) AND TABLE_NAME=?", schema, base)
	return n != "0", err
}

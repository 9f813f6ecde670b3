package schema

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/outboxtable"
)

// Want is the table there is to be.
type Want struct {
	Table string
	// Variant is "" for the one that the table has, or [binjet.InnoDB] for a new one.
	Variant binjet.Variant
	// Today is the day by the server's clock, which fills created_at.
	Today time.Time
	// Create returns the statements of a new table. Default: those of package binjet.
	Create func(binjet.Schema) ([]string, error)
}

// VariantError says that a table is of another variant than the one asked for.
type VariantError struct {
	Table      string
	Have, Want binjet.Variant
}

func (e *VariantError) Error() string {
	return fmt.Sprintf("table %s is there as %s and not as %s: making another of it copies the table, with writers waiting", e.Table, e.Have, e.Want)
}

// Plan returns the statements, in order, that make of a table what it is to be;
// none when it is. It looks at nothing but live.
func Plan(live Live, want Want) ([]string, error) {
	s := binjet.Schema{Table: want.Table, Variant: want.Variant, Today: want.Today}
	if !live.Exists {
		if want.Create != nil {
			return want.Create(s)
		}
		return s.Up(0)
	}
	if want.Variant != "" && want.Variant != live.Variant() {
		return nil, &VariantError{want.Table, live.Variant(), want.Variant}
	}
	s.Variant = live.Variant()
	list, err := s.Up(live.Version)
	if err != nil {
		return nil, err
	}
	add, err := addDays(live, want.Today)
	if err != nil || add == "" {
		return list, err
	}
	return append(list, add), nil
}

// addDays makes the partitions of the days to come; "" when they are there, or
// are not ours to make.
func addDays(live Live, today time.Time) (string, error) {
	quoted, err := binjet.QuoteTable(live.Table)
	if err != nil || len(live.Partitions) == 0 || live.Foreign != nil {
		return "", err
	}
	return outboxtable.Add(quoted, live.Partitions, outboxtable.Coming(live.Partitions, today, binjet.DefaultDays)), nil
}

// Today is the time by the server's clock.
func Today(ctx context.Context, db outboxtable.Querier) (today time.Time, err error) {
	var seconds int64
	err = each(ctx, db, func(rows *sql.Rows) error { return rows.Scan(&seconds) }, "SELECT FLOOR(UNIX_TIMESTAMP())")
	return time.Unix(seconds, 0).UTC(), err
}

// lockSeconds bounds the wait for transactions that have a table open: a statement
// that changes the table waits for them, and every writer behind it.
const lockSeconds = 5

func boundWait(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=%d", lockSeconds))
	return err
}

// Apply looks at a table, makes of it what it is to be, and returns what it was
// and the statements that did it.
func Apply(ctx context.Context, db *sql.DB, want Want) (Live, []string, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return Live{}, nil, err
	}
	defer conn.Close()
	live, list, err := Look(ctx, conn, want)
	if err != nil || len(list) == 0 {
		return live, nil, err
	}
	if err := boundWait(ctx, conn); err != nil {
		return live, nil, err
	}
	for i, statement := range list {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			if _, left, again := Look(ctx, conn, want); again == nil && len(left) == 0 {
				return live, list[:i], nil // another process was faster
			}
			return live, list[:i], fmt.Errorf("table %s: %w, by\n%s", want.Table, err, statement)
		}
	}
	return live, list, nil
}

// Look is Apply without the doing.
func Look(ctx context.Context, db outboxtable.Querier, want Want) (live Live, list []string, err error) {
	if live, err = Inspect(ctx, db, want.Table); err != nil {
		return live, nil, err
	}
	if want.Today, err = Today(ctx, db); err != nil {
		return live, nil, fmt.Errorf("ask the server for the day: %w", err)
	}
	if want.Variant == binjet.Blackhole && !live.Exists {
		found, err := HasEngine(ctx, db, "BLACKHOLE")
		if err == nil && !found {
			err = ErrNoBlackhole
		}
		if err != nil {
			return live, nil, fmt.Errorf("table %s: %w", want.Table, err)
		}
	}
	list, err = Plan(live, want)
	return live, list, err
}

// ErrNoBlackhole says that the server has no such engine.
var ErrNoBlackhole = constError("the server has no engine BLACKHOLE")

type constError string

func (e constError) Error() string { return string(e) }

package prune

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// Defaults of [Config].
const (
	DefaultBatchRows = 500
	DefaultPause     = 100 * time.Millisecond
	DefaultInterval  = time.Minute
	DefaultPatience  = 30 * time.Second
)

// MaxBatchRows is as many rows as one DELETE may name: more make a long
// transaction of it, and a replica that applies it lags.
const MaxBatchRows = 5000

// Config says what to prune. DB, Tables, Keep, Published and Verify are required.
type Config struct {
	// DB is the server whose tables are pruned. It has to be one that may be written.
	DB *sql.DB
	// Tables are the outbox tables, "name" or "schema.name".
	Tables []string
	// ID and CreatedAt are their columns. Default: those of package binjet.
	ID, CreatedAt string
	// Keep is the age, by created_at and the server's clock, up to which rows stay.
	// It should be longer than binlogs are kept and than it takes to notice a fault:
	// rows are what is left when a stream and a binlog are lost.
	Keep time.Duration
	// Rates are those at first.
	Rates Rates
	// Patience is how long the stream may take to come up to what a round found.
	// Default 30 s.
	Patience time.Duration
	// Published returns the position of the checkpoint that the stream holds now.
	Published func(context.Context) (checkpoint.Position, error)
	// Verify says whether the server has the history that the position is of.
	Verify func(context.Context, checkpoint.Position) error
	// Active says whether to prune now; asked before each batch. Default: always.
	Active func() bool
	// ErrorCode is the number of a server's error, 0 for others. Default: always 0,
	// and then a lock that is not free ends the round.
	ErrorCode func(error) uint16
	// DryRun deletes nothing and counts what would be.
	DryRun bool
	// Logger gets what an operator should know. Default: none.
	Logger *slog.Logger
	Hooks  Hooks
}

// Hooks are called by the pruner's goroutine, which waits for them. Any may be nil.
type Hooks struct {
	// Deleted is called for each batch.
	Deleted func(table string, rows int64, took time.Duration)
	// Round is called at the end of each round of [Pruner.Run].
	Round func(Report, error)
	// Selected is called with the rows that a horizon is the proof of.
	Selected func(table string, ids []string, h Horizon)
}

func (c Config) withDefaults() Config {
	if c.ID == "" {
		c.ID = binjet.ColumnID
	}
	if c.CreatedAt == "" {
		c.CreatedAt = binjet.ColumnCreatedAt
	}
	c.Rates = c.Rates.withDefaults()
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	if c.Active == nil {
		c.Active = func() bool { return true }
	}
	if c.ErrorCode == nil {
		c.ErrorCode = func(error) uint16 { return 0 }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	bad(c.DB == nil, "DB is missing")
	bad(c.Published == nil, "Published is missing")
	bad(c.Verify == nil, "Verify is missing")
	bad(len(c.Tables) == 0, "Tables is empty")
	bad(c.Keep <= 0, "Keep %s is not positive", c.Keep)
	faults = append(faults, c.Rates.validate())
	for _, t := range c.Tables {
		if _, err := binjet.QuoteTable(t); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

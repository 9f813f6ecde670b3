package producer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/binjet/binjet"
)

// Execer is all that [Producer.Insert] asks of a transaction. *sql.Tx, *sql.Conn
// and *sql.DB are Execers.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// ErrNotAtomic is returned when an insert needs several statements and tx is a
// connection pool, which would commit each of them by itself. Nothing was inserted.
var ErrNotAtomic = errors.New("an insert of several statements needs a transaction")

// Producer inserts messages into one outbox table. Make it once, with [New]; it
// keeps no connection and is safe for use by several goroutines.
type Producer struct {
	cfg   Config
	table string // quoted
	stmt  statement
}

// New makes a Producer. It reports every fault of cfg at once, and does not look
// at a database: whether the table exists shows at the first insert.
func New(cfg Config) (*Producer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("producer config: %w", err)
	}
	table, err := binjet.QuoteTable(cfg.Table)
	if err != nil {
		return nil, fmt.Errorf("producer config: %w", err)
	}
	return &Producer{cfg: cfg, table: table, stmt: newStatement(table)}, nil
}

// Insert inserts msgs, in their order, into the outbox table through tx. They are
// published if and only if that transaction commits. Insert never commits or
// rolls back. No messages are no error.
//
// Every fault of every message is reported at once, before anything is sent;
// errors.Is(err, [binjet.ErrInvalid]) tells such an error from the database's.
// After any error roll the transaction back: if the messages needed several
// statements, those before the failed one have inserted theirs.
//
// A message without an ID is given one, which stays in it. So the same message
// inserted again, as after a lost connection, is refused by the primary key
// instead of being published twice; a new event wants a new Message.
//
// With a *sql.DB (or what embeds one) for tx the messages are a transaction of
// their own, if they fit in one statement, else the error is [ErrNotAtomic]. A
// *sql.Conn is taken to be inside of a transaction; outside of one, statements of
// a split insert are committed one by one.
func (p *Producer) Insert(ctx context.Context, tx Execer, msgs ...*binjet.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	if tx == nil {
		return fmt.Errorf("insert into %s: tx is nil", p.table)
	}
	args, err := p.rows(ctx, msgs)
	if err != nil {
		return fmt.Errorf("insert into %s refused: %w", p.table, err)
	}
	n := split(args, p.cfg.MaxStatementBytes)
	if _, pool := tx.(interface{ SetMaxOpenConns(int) }); pool && n < len(msgs) {
		return fmt.Errorf("insert into %s: %d messages, of which %d fit in one statement: %w: begin one, or insert fewer at a time",
			p.table, len(msgs), n, ErrNotAtomic)
	}
	for done := 0; ; n = split(args, p.cfg.MaxStatementBytes) {
		if _, err := tx.ExecContext(ctx, p.stmt.text(n), args[:n*columns]...); err != nil {
			return fmt.Errorf("insert into %s, messages %d to %d of %d: %w", p.table, done+1, done+n, len(msgs), err)
		}
		done, args = done+n, args[n*columns:]
		if len(args) == 0 {
			return nil
		}
	}
}

// rows checks msgs and returns the values of their rows, one after the other.
func (p *Producer) rows(ctx context.Context, msgs []*binjet.Message) ([]any, error) {
	injected := p.injected(ctx)
	args := make([]any, 0, len(msgs)*columns)
	var faults []error
	var seen map[string]int
	if len(msgs) > 1 {
		seen = make(map[string]int, len(msgs))
	}
	for i, m := range msgs {
		var err error
		if args, err = p.appendRow(args, m, injected); err != nil {
			faults = append(faults, fmt.Errorf("msgs[%d]: %w", i, err))
		}
		if m == nil || seen == nil {
			continue
		}
		if first, twice := seen[m.ID]; twice {
			faults = append(faults, fmt.Errorf("msgs[%d]: %w", i, &binjet.ValidationError{
				ID: m.ID, Topic: m.Topic, Faults: []string{fmt.Sprintf("ID is that of msgs[%d] too", first)},
			}))
			continue
		}
		seen[m.ID] = i
	}
	return args, errors.Join(faults...)
}

func (p *Producer) appendRow(args []any, m *binjet.Message, injected binjet.Headers) ([]any, error) {
	if m == nil {
		return args, &binjet.ValidationError{Faults: []string{"message is nil"}}
	}
	if m.ID == "" {
		m.ID = p.cfg.NewID()
	}
	row := *m
	row.Headers = merge(m.Headers, injected)
	row.CreatedAt = p.cfg.Now()
	if row.ID == "" {
		return args, &binjet.ValidationError{Topic: m.Topic, Faults: []string{"Config.NewID returned an empty ID"}}
	}
	if err := row.Validate(p.cfg.MaxBytes); err != nil {
		return args, err
	}
	headers := row.AppendRowHeaders(nil)
	return append(args, row.ID, row.Topic, orNull(row.Key), bytesOrNull(headers), row.Payload), nil
}

// injected returns the headers that the context adds, nil when there are none.
func (p *Producer) injected(ctx context.Context) binjet.Headers {
	if p.cfg.Inject == nil {
		return nil
	}
	h := binjet.Headers{}
	p.cfg.Inject(ctx, h)
	return h
}

// merge returns own with the injected headers added, or own as it is when it has
// one of them already. It changes neither.
func merge(own, injected binjet.Headers) binjet.Headers {
	if len(injected) == 0 {
		return own
	}
	all := make(binjet.Headers, len(own)+len(injected))
	for name, values := range injected {
		if _, set := own[name]; set {
			return own
		}
		all[name] = values
	}
	for name, values := range own {
		all[name] = values
	}
	return all
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func bytesOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

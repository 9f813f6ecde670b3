package producertest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/binjet/binjet"
)

// TB is what is needed of a test; *testing.T and *testing.B are TBs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context
	Cleanup(func())
}

// Queryer is what is needed to look into the table: the transaction, or whatever
// sees its rows. Those of database/sql, sqlx, bun, gorm (tx.Statement.ConnPool) and
// ent (with sql/execquery) are Queryers, and so is [DB].
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// RequireInserted fails the test unless exactly one message in the outbox table is
// what the matchers say, and returns that. tx sees what it inserted itself, and
// what is committed: say enough to tell the two apart.
func RequireInserted(t TB, tx Queryer, matchers ...Matcher) *binjet.Message {
	t.Helper()
	s := newSearch(matchers)
	found, err := s.run(t.Context(), tx)
	switch {
	case err != nil:
		t.Fatalf("producertest: %v", err)
	case len(found) == 0:
		t.Fatalf("no message in %s has %s%s", s.table, s, s.others(t.Context(), tx))
	case len(found) > 1:
		t.Fatalf("%d messages in %s have %s, want one:%s", len(found), s.table, s, list(found))
	default:
		return found[0]
	}
	return nil
}

// RequireNotInserted fails the test if any message in the outbox table is what the
// matchers say.
func RequireNotInserted(t TB, tx Queryer, matchers ...Matcher) {
	t.Helper()
	s := newSearch(matchers)
	found, err := s.run(t.Context(), tx)
	if err != nil {
		t.Fatalf("producertest: %v", err)
	} else if len(found) > 0 {
		t.Fatalf("%d messages in %s have %s, want none:%s", len(found), s.table, s, list(found))
	}
}

// Inserted returns all messages in the outbox table that are what the matchers
// say, by ID, which for IDs that a Producer makes is the order they were inserted in.
func Inserted(t TB, tx Queryer, matchers ...Matcher) []*binjet.Message {
	t.Helper()
	found, err := newSearch(matchers).run(t.Context(), tx)
	if err != nil {
		t.Fatalf("producertest: %v", err)
	}
	return found
}

func newSearch(matchers []Matcher) *search {
	s := &search{table: binjet.DefaultTable}
	for _, m := range matchers {
		m(s)
	}
	return s
}

func (s *search) String() string {
	if len(s.tests) == 0 {
		return "any content"
	}
	says := make([]string, len(s.tests))
	for i, t := range s.tests {
		says[i] = t.says
	}
	return strings.Join(says, ", ")
}

const selectRows = "SELECT " + binjet.ColumnID + ", " + binjet.ColumnTopic + ", " + binjet.ColumnKey + ", " +
	binjet.ColumnHeaders + ", " + binjet.ColumnPayload + " FROM "

func (s *search) run(ctx context.Context, tx Queryer) (found []*binjet.Message, err error) {
	err = s.each(ctx, tx, strings.Replace(s.where, " AND", " WHERE", 1)+" ORDER BY "+binjet.ColumnID, s.args, func(m *binjet.Message) bool {
		if s.misses(m) == "" {
			found = append(found, m)
		}
		return true
	})
	return found, err
}

// shown is how many messages a failure lists.
const shown = 10

// others tells what is in the table in place of what was looked for.
func (s *search) others(ctx context.Context, tx Queryer) string {
	var lines strings.Builder
	n := 0
	err := s.each(ctx, tx, fmt.Sprintf(" ORDER BY %s DESC LIMIT %d", binjet.ColumnID, shown), nil, func(m *binjet.Message) bool {
		fmt.Fprintf(&lines, "\n\t%s: %s", describe(m), s.misses(m))
		n++
		return n < shown
	})
	switch {
	case err != nil:
		return fmt.Sprintf("; what is there can't be read: %v", err)
	case n == 0:
		return "; it is empty"
	}
	return fmt.Sprintf("; the last %d messages there are:%s", n, &lines)
}

func (s *search) each(ctx context.Context, tx Queryer, tail string, args []any, visit func(m *binjet.Message) bool) error {
	table, err := binjet.QuoteTable(s.table)
	if err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, selectRows+table+tail, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, topic string
		var key sql.NullString
		var headers, payload []byte
		if err := rows.Scan(&id, &topic, &key, &headers, &payload); err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		m, err := message(id, topic, key.String, headers, payload)
		if err != nil {
			return fmt.Errorf("read %s: message %q: %w", table, id, err)
		}
		if !visit(m) {
			return nil
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	return nil
}

// message is the one of a row, as a handler gets it.
func message(id, topic, key string, headers, payload []byte) (*binjet.Message, error) {
	h, err := binjet.DecodeHeaders(headers)
	if err != nil {
		return nil, err
	}
	m := &binjet.Message{ID: id, Topic: topic, Key: key, ContentType: h.Get(binjet.HeaderContentType), Payload: payload}
	if ttl := h.Get(binjet.HeaderTTL); ttl != "" {
		if m.ExpireAfter, err = time.ParseDuration(ttl); err != nil {
			return nil, fmt.Errorf("header %s: %w", binjet.HeaderTTL, err)
		}
	}
	if at := h.Get(binjet.HeaderDeliverAt); at != "" {
		if m.DeliverAt, err = time.Parse(binjet.CreatedAtLayout, at); err != nil {
			return nil, fmt.Errorf("header %s: %w", binjet.HeaderDeliverAt, err)
		}
	}
	for _, name := range []string{binjet.HeaderContentType, binjet.HeaderTTL, binjet.HeaderDeliverAt} {
		delete(h, name)
	}
	if len(h) > 0 {
		m.Headers = h
	}
	return m, nil
}

func describe(m *binjet.Message) string {
	return fmt.Sprintf("message %q on topic %q, key %q", m.ID, m.Topic, m.Key)
}

func list(msgs []*binjet.Message) string {
	var lines strings.Builder
	for i, m := range msgs {
		if i == shown {
			lines.WriteString("\n\t…")
			break
		}
		lines.WriteString("\n\t" + describe(m))
	}
	return lines.String()
}

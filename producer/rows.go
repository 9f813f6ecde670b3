package producer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/binjet/binjet"
)

// rows are the values of the rows of one insert, one row after the other. Rows of
// one insert are often alike: a value that stood in the row before is taken from
// there, which spares putting it into an interface again.
type rows struct {
	p        *Producer
	now      time.Time
	injected binjet.Headers // what the context adds
	extra    binjet.Headers // what a message without headers gets: those of the configuration too
	ids      string         // IDs that are ready, one after the other

	args    []any
	headers []byte // of all rows
	isPlain bool   // the headers of the row before were extra and its content type only
	plain   string // that content type
}

// rows checks msgs and returns the values of their rows.
func (p *Producer) rows(ctx context.Context, msgs []*binjet.Message) ([]any, error) {
	r := rows{p: p, now: p.cfg.Now(), args: make([]any, 0, len(msgs)*columns)}
	r.inject(ctx)
	if p.ids != nil {
		r.ids = p.ids.several(missing(msgs))
	}
	var faults []error
	unique := p.ids != nil && len(p.cfg.Middleware) == 0 // is what an ID is that was just made
	var seen map[string]int                              // nil as long as all of them are such
	for i, m := range msgs {
		given := m != nil && (m.ID != "" || !unique)
		if err := r.append(ctx, m); err != nil {
			faults = append(faults, fmt.Errorf("msgs[%d]: %w", i, err))
		}
		if m == nil || seen == nil && !given || len(msgs) == 1 {
			continue
		}
		if seen == nil {
			seen = index(msgs[:i])
		}
		if first, twice := seen[m.ID]; twice {
			faults = append(faults, fmt.Errorf("msgs[%d]: %w", i, fault(m, fmt.Sprintf("ID is that of msgs[%d] too", first))))
			continue
		}
		seen[m.ID] = i
	}
	return r.args, errors.Join(faults...)
}

func fault(m *binjet.Message, text string) error {
	return &binjet.ValidationError{ID: m.ID, Topic: m.Topic, Faults: []string{text}}
}

// missing counts the messages that have no ID.
func missing(msgs []*binjet.Message) int {
	n := 0
	for _, m := range msgs {
		if m != nil && m.ID == "" {
			n++
		}
	}
	return n
}

func index(msgs []*binjet.Message) map[string]int {
	seen := make(map[string]int, len(msgs)+1)
	for i, m := range msgs {
		if m != nil {
			seen[m.ID] = i
		}
	}
	return seen
}

func (r *rows) append(ctx context.Context, m *binjet.Message) error {
	if m == nil {
		return &binjet.ValidationError{Faults: []string{"message is nil"}}
	}
	if m.ID == "" {
		if m.ID = r.newID(); m.ID == "" {
			return fault(m, "Config.NewID returned an empty ID")
		}
	}
	row := *m
	row.Headers = r.merge(m.Headers)
	row.CreatedAt = r.now
	plain := len(m.Headers) == 0 && m.ExpireAfter == 0 && m.DeliverAt.IsZero()
	if len(r.p.cfg.Middleware) > 0 {
		var err error
		if row, err = r.enrich(ctx, row); err != nil {
			return err
		}
		m.ID, plain = row.ID, false
	}
	if err := row.Validate(r.p.cfg.MaxBytes); err != nil {
		return err
	}
	r.add(&row, plain)
	return nil
}

// enrich runs the middleware on a copy of the message: the caller's may be
// inserted again, and would be enriched twice.
func (r *rows) enrich(ctx context.Context, row binjet.Message) (binjet.Message, error) {
	if row.Headers = row.Headers.Clone(); row.Headers == nil {
		row.Headers = binjet.Headers{}
	}
	id := row.ID
	for i, enrich := range r.p.cfg.Middleware {
		if err := enrich(ctx, &row); err != nil {
			return row, fmt.Errorf("message %q on topic %q: Config.Middleware[%d]: %w", id, row.Topic, i, err)
		}
	}
	if row.ID == "" {
		return row, fault(&row, "Config.Middleware took the ID away")
	}
	return row, nil
}

// newID takes one of those that are ready, or makes one.
func (r *rows) newID() string {
	switch {
	case r.p.ids == nil:
		return r.p.cfg.NewID()
	case r.ids == "": // a message stands here twice, and something emptied its ID in between
		return r.p.ids.several(1)
	}
	id := r.ids[:idLength]
	r.ids = r.ids[idLength:]
	return id
}

// add appends the values of a valid row. plain says that its headers are extra and
// its content type, and nothing else.
func (r *rows) add(row *binjet.Message, plain bool) {
	r.args = append(r.args, row.ID)
	r.args = append(r.args, r.text(row.Topic))
	r.args = append(r.args, r.text(row.Key))
	r.args = append(r.args, r.headersOf(row, plain))
	r.args = append(r.args, row.Payload)
}

// text returns the value of the column that comes next, NULL for an empty string.
func (r *rows) text(s string) any {
	if s == "" {
		return nil
	}
	if above := len(r.args) - columns; above >= 0 {
		if v, ok := r.args[above].(string); ok && v == s {
			return r.args[above]
		}
	}
	return s
}

// headersOf returns the value of the headers column, NULL when there are none.
func (r *rows) headersOf(row *binjet.Message, plain bool) any {
	if plain && r.isPlain && row.ContentType == r.plain {
		return r.args[len(r.args)-columns]
	}
	r.isPlain, r.plain = plain, row.ContentType
	start := len(r.headers)
	r.headers = row.AppendRowHeaders(r.headers)
	if len(r.headers) == start {
		return nil
	}
	return r.headers[start:len(r.headers):len(r.headers)]
}

// inject asks once for what the context adds to every message.
func (r *rows) inject(ctx context.Context) {
	r.extra = r.p.cfg.Headers
	if r.p.cfg.Inject == nil {
		return
	}
	r.injected = binjet.Headers{}
	r.p.cfg.Inject(ctx, r.injected)
	if len(r.injected) > 0 {
		r.extra = overlay(r.extra, r.injected)
	}
}

// merge returns own with those added that every message gets. It changes neither.
func (r *rows) merge(own binjet.Headers) binjet.Headers {
	if len(own) == 0 {
		return r.extra
	}
	for name := range r.injected {
		if _, set := own[name]; set { // then none of them: they belong together
			return overlay(r.p.cfg.Headers, own)
		}
	}
	return overlay(r.extra, own)
}

// overlay returns the headers of both, those of top where both have one.
func overlay(base, top binjet.Headers) binjet.Headers {
	if len(base) == 0 {
		return top
	}
	all := make(binjet.Headers, len(base)+len(top))
	maps.Copy(all, base)
	maps.Copy(all, top)
	return all
}

package binlog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// pager yields the rows of a snapshot in pages.
type pager struct {
	*stream
	session  *session
	at       checkpoint.Position // what the rows are as of
	progress checkpoint.Snapshot
	newer    map[table]map[rowKey]bool // rows that came after at
	pace     *pace
}

// table yields one table, from where the progress stands.
func (p *pager) table(t table) error {
	if p.progress.Table != t.String() {
		p.progress.Table, p.progress.After, p.progress.AfterAt = t.String(), "", time.Time{}
	}
	shape, err := p.shapeOf(t)
	if err != nil {
		return err
	}
	if err := shape.resumes(p.progress.After); err != nil {
		return err
	}
	for {
		upto, n, err := p.bound(shape)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		list, invalid, err := p.page(shape, upto)
		if err != nil {
			return err
		}
		p.progress.After, p.progress.AfterAt = upto.id, upto.at
		p.progress.Rows += uint64(len(list))
		if err := p.yield(list, invalid, false); err != nil {
			return err
		}
		p.pace.report(p.progress, time.Now())
	}
	p.progress.Done = append(append([]string(nil), p.progress.Done...), t.String())
	p.progress.Table, p.progress.After, p.progress.AfterAt = "", "", time.Time{}
	return nil
}

func (p *pager) yield(list []binjet.Message, invalid []checkpoint.Invalid, end bool) error {
	progress := p.progress
	p.stream.progress = true
	return p.emit(&checkpoint.Transaction{Messages: list, Invalid: invalid, Snapshot: &progress, At: p.at.Resume.Clone(), Binlog: p.at.Binlog, End: end, Hash: new(hashes).of(list)})
}

func (p *pager) end() error {
	if err := p.yield(nil, nil, true); err != nil {
		return err
	}
	p.log.Info("the snapshot is published", "position", p.at.Where(), "rows", p.progress.Rows, "took", time.Since(p.pace.began).Round(time.Millisecond))
	return nil
}

// where is the condition of what is still to be read. There is no ID below "",
// but an empty one would be left out, so the first page has no condition.
func (p *pager) where(s *shape) (string, []any) {
	if p.progress.After == "" {
		return "", nil
	}
	cond, args := s.compareTo(">", place{p.progress.After, p.progress.AfterAt})
	return " AND " + cond, args
}

// bound finds where the next page ends, looking at sizes only: rows can be large,
// and a page that is being read can't be cut short.
func (p *pager) bound(s *shape) (upto place, rows int, err error) {
	c := p.mapping.Columns
	length := "COALESCE(LENGTH(`" + c.Payload + "`),0)"
	if c.Headers != NoColumn {
		length += "+COALESCE(LENGTH(`" + c.Headers + "`),0)"
	}
	cond, args := p.where(s)
	list, err := p.session.rows(fmt.Sprintf("SELECT `%s`, %s, %s FROM %s WHERE 1=1%s ORDER BY %s LIMIT %d",
		c.ID, length, s.timeField(), s.table.quoted(), cond, s.order(), pageRows), args...)
	if err != nil {
		return upto, 0, err
	}
	bytes := 0
	for i, row := range list {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			return upto, 0, fmt.Errorf("length of row %q: %w", row[0], err)
		}
		if bytes += n; i > 0 && bytes > pageBytes {
			break
		}
		upto, rows = place{s.progressOf(row[0]), s.placeTime(row[2])}, i+1
	}
	return upto, rows, nil
}

// page reads the rows up to a place, without those that came after the snapshot's position.
func (p *pager) page(s *shape, upto place) (out []binjet.Message, invalid []checkpoint.Invalid, err error) {
	cond, args := p.where(s)
	last, bounds := s.compareTo("<=", upto)
	res, err := p.session.Execute(fmt.Sprintf("SELECT %s FROM %s WHERE %s%s ORDER BY %s", s.fields, s.table.quoted(), last, cond, s.order()),
		append(bounds, args...)...)
	if err != nil {
		return nil, nil, cause(p.session.ctx, fmt.Errorf("read table %s after %q: %w", s.table, p.progress.After, err))
	}
	defer res.Close()
	now := time.Now().UTC()
	if p.progress.Rescan != nil {
		now = time.Time{} // whoever decides by the age of a row must know that it has none
	}
	for _, row := range res.Values {
		fields := values(row)
		m, fault := s.message(fields, nil, now)
		switch {
		case fault != nil && fault.table:
			return nil, nil, halt(fault, fault.Hint, "an outbox row can't be published")
		case p.newer[s.table][keyOfRow(m.ID, s.timeOf(fields), s.timed)]:
			continue
		case fault != nil:
			invalid = append(invalid, fault.invalid(len(out)))
		}
		out = append(out, m)
	}
	return out, invalid, nil
}

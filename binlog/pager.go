package binlog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// pager yields the rows of a snapshot in pages.
type pager struct {
	*stream
	session  *session
	at       checkpoint.Position // what the rows are as of
	progress checkpoint.Snapshot
	newer    map[table]map[string]bool // rows that came after at
	pace     *pace
}

// table yields one table, from where the progress stands.
func (p *pager) table(t table) error {
	if p.progress.Table != t.String() {
		p.progress.Table, p.progress.After = t.String(), ""
	}
	for {
		upto, n, err := p.bound(t)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		list, invalid, err := p.page(t, upto)
		if err != nil {
			return err
		}
		p.progress.After = upto
		p.progress.Rows += uint64(len(list))
		if err := p.yield(list, invalid, false); err != nil {
			return err
		}
		p.pace.report(p.progress, time.Now())
	}
	p.progress.Done = append(append([]string(nil), p.progress.Done...), t.String())
	p.progress.Table, p.progress.After = "", ""
	return nil
}

func (p *pager) yield(list []binjet.Message, invalid []checkpoint.Invalid, end bool) error {
	progress := p.progress
	p.stream.progress = true
	return p.emit(&checkpoint.Transaction{Messages: list, Invalid: invalid, Snapshot: &progress, At: p.at.Resume.Clone(), Binlog: p.at.Binlog, End: end, Hash: hash(list)})
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
func (p *pager) where() (string, []any) {
	if p.progress.After == "" {
		return "", nil
	}
	return " AND `" + p.cfg.Columns.ID + "` > ?", []any{p.progress.After}
}

// bound finds the last ID of the next page, looking at sizes only: rows can be
// large, and a page that is being read can't be cut short.
func (p *pager) bound(t table) (upto string, rows int, err error) {
	c := p.cfg.Columns
	length := "COALESCE(LENGTH(`" + c.Payload + "`),0)"
	if c.Headers != NoColumn {
		length += "+COALESCE(LENGTH(`" + c.Headers + "`),0)"
	}
	cond, args := p.where()
	list, err := p.session.rows(fmt.Sprintf("SELECT `%s`, %s FROM %s WHERE 1=1%s ORDER BY `%s` LIMIT %d",
		c.ID, length, t.quoted(), cond, c.ID, pageRows), args...)
	if err != nil {
		return "", 0, err
	}
	bytes := 0
	for i, row := range list {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			return "", 0, fmt.Errorf("length of row %q: %w", row[0], err)
		}
		if bytes += n; i > 0 && bytes > pageBytes {
			break
		}
		upto, rows = row[0], i+1
	}
	return upto, rows, nil
}

// page reads the rows up to an ID, without those that came after the snapshot's position.
func (p *pager) page(t table, upto string) (out []binjet.Message, invalid []checkpoint.Invalid, err error) {
	cond, args := p.where()
	id := p.cfg.Columns.ID
	res, err := p.session.Execute(fmt.Sprintf("SELECT %s FROM %s WHERE `%s` <= ?%s ORDER BY `%s`", p.fields(), t.quoted(), id, cond, id),
		append([]any{upto}, args...)...)
	if err != nil {
		return nil, nil, cause(p.session.ctx, fmt.Errorf("read table %s after %q: %w", t, p.progress.After, err))
	}
	defer res.Close()
	now := time.Now().UTC()
	if p.progress.Rescan != nil {
		now = time.Time{} // whoever decides by the age of a row must know that it has none
	}
	for _, row := range res.Values {
		m, problem := snapshotMessage(row, now)
		if p.newer[t][m.ID] {
			continue
		}
		if problem != "" {
			e := &RowError{Table: t.String(), ID: m.ID, Problem: problem, Hint: "Mend what writes such rows", headers: rowText(row, 3)}
			invalid = append(invalid, e.invalid(len(out)))
		}
		out = append(out, m)
	}
	return out, invalid, nil
}

// fields are the mapped columns, NULL for one that the table does not have.
func (p *pager) fields() string {
	s := ""
	for i, c := range p.cfg.Columns.list() {
		if i > 0 {
			s += ", "
		}
		if c.name == NoColumn {
			s += "NULL"
		} else {
			s += "`" + c.name + "`"
		}
	}
	return s
}

// snapshotMessage makes a message of the columns in the order of [Columns.list].
// A created_at that is NULL or no point in time becomes now.
func snapshotMessage(row []mysql.FieldValue, now time.Time) (m binjet.Message, problem string) {
	text := func(i int) []byte { return rowText(row, i) }
	m.ID, m.Topic, m.Key = string(text(0)), string(text(1)), string(text(2))
	m.Payload = append([]byte{}, text(4)...)
	m.CreatedAt = now
	if t, ok := parseTime(string(text(5))); ok {
		m.CreatedAt = t
	}
	problem = complete(&m, text(3))
	for i, what := range []string{0: "ID", 1: "Topic", 4: "Payload"} {
		if what != "" && row[i].Type == mysql.FieldValueTypeNull {
			return m, "the column of its " + what + " is NULL"
		}
	}
	return m, problem
}

// rowText is a copy of a column's value, nil for NULL, whose AsString would be
// what lay there before.
func rowText(row []mysql.FieldValue, i int) []byte {
	if row[i].Type == mysql.FieldValueTypeNull {
		return nil
	}
	return append([]byte{}, row[i].AsString()...)
}

package torture

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// committedEvents is the ground truth: what was committed, in its order, as the server's
// own program prints its binlog.
func (w *world) committedEvents() (*printed, error) {
	if _, err := w.db.ExecContext(w.t.Context(), "FLUSH BINARY LOGS"); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(w.db.primary().Dir(), "data", "binlog.[0-9]*"))
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".idx") })
	slices.Sort(files)
	cmd := exec.Command(w.db.printer, append([]string{"--no-defaults", "--verbose", "--base64-output=DECODE-ROWS"}, files...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := newPrinted()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if err := p.line(lines.Text()); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read what %s prints: %w", w.db.printer, err)
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", w.db.printer, err, said.String())
	}
	return p, nil
}

// group is what has a GTID of its own.
type group struct {
	gtid     string
	events   []string // that are committed by it
	prepared string   // the XA transaction that it prepares, and which has rows of ours
	decided  string   // the one that it commits or rolls back
}

// printed reads the text of a binlog line by line.
type printed struct {
	committed []string // all events
	groups    []group

	open       []string       // of the transaction that is being read
	savepoints map[string]int // how much of open was there
	prepared   map[string][]string
	inserting  bool // the row of an outbox table
}

func newPrinted() *printed {
	return &printed{savepoints: map[string]int{}, prepared: map[string][]string{}}
}

var (
	rowLine      = regexp.MustCompile("^### (INSERT INTO|UPDATE|DELETE FROM) `([^`]+)`\\.`([^`]+)`")
	idLine       = regexp.MustCompile(`^###   @\d+='(\d+\.\d+\.\d+)'`)
	savepoint    = regexp.MustCompile("^SAVEPOINT (`.*?`|\\S+?)(/\\*!\\*/;)?$")
	rollbackTo   = regexp.MustCompile("^ROLLBACK TO (SAVEPOINT )?(`.*?`|\\S+?)(/\\*!\\*/;)?$")
	xaStatement  = regexp.MustCompile(`^XA (START|END|PREPARE|COMMIT|ROLLBACK) ([^ /]+)( ONE PHASE)?`)
	gtidLine     = regexp.MustCompile(`^(?:SET @@SESSION\.GTID_NEXT= '([^']+)'|#\d{6} .*\tGTID (\d+-\d+-\d+))`)
	beginOrEnd   = regexp.MustCompile(`^(BEGIN|START TRANSACTION|COMMIT|ROLLBACK)\s*(/\*.*)?$`)
	outboxTables = map[string]bool{"outbox": true, "outbox_hole": true}
)

func (p *printed) line(s string) error {
	if m := gtidLine.FindStringSubmatch(s); m != nil {
		if gtid := m[1] + m[2]; gtid != "AUTOMATIC" {
			p.groups = append(p.groups, group{gtid: gtid})
		}
		return nil
	}
	if m := rowLine.FindStringSubmatch(s); m != nil {
		p.inserting = m[1] == "INSERT INTO" && m[2] == "shop" && outboxTables[m[3]]
		return nil
	}
	if p.inserting && strings.HasPrefix(s, "###   @") {
		// The ID is the first column, or the second while a column stands before it.
		if m := idLine.FindStringSubmatch(s); m != nil {
			p.open = append(p.open, m[1])
			p.inserting = false
		}
		return nil
	}
	if m := savepoint.FindStringSubmatch(s); m != nil {
		p.savepoints[m[1]] = len(p.open)
		return nil
	}
	if m := rollbackTo.FindStringSubmatch(s); m != nil {
		n, ok := p.savepoints[m[2]]
		if !ok {
			return fmt.Errorf("the binlog rolls back to a savepoint that it did not set: %s", s)
		}
		p.open = p.open[:n]
		return nil
	}
	if m := xaStatement.FindStringSubmatch(s); m != nil {
		p.xa(m[1], m[2], m[3] != "")
		return nil
	}
	if m := beginOrEnd.FindStringSubmatch(s); m != nil {
		p.end(m[1])
	}
	return nil
}

func (p *printed) end(statement string) {
	if statement == "COMMIT" {
		p.commit(p.open)
	}
	p.open = nil
	clear(p.savepoints)
}

func (p *printed) commit(events []string) {
	p.committed = append(p.committed, events...)
	if g := p.group(); len(events) > 0 {
		g.events = append(g.events, events...)
	}
}

// group is the one that is being read.
func (p *printed) group() *group {
	if len(p.groups) == 0 {
		p.groups = append(p.groups, group{}) // of a log without GTIDs
	}
	return &p.groups[len(p.groups)-1]
}

// xa: the rows stand in the log where they are prepared, and count where it commits.
func (p *printed) xa(statement, xid string, onePhase bool) {
	switch {
	case statement == "COMMIT" && onePhase:
		p.end("COMMIT")
	case statement == "PREPARE":
		if p.prepared[xid] = p.open; len(p.open) > 0 {
			p.group().prepared = xid
		}
		p.end("PREPARE")
	case statement == "COMMIT":
		p.commit(p.prepared[xid])
		p.group().decided = xid
		delete(p.prepared, xid)
	case statement == "ROLLBACK":
		p.group().decided = xid
		delete(p.prepared, xid)
	}
}

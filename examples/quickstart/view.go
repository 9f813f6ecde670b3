package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sample is the state of the demo at one moment.
type sample struct {
	At         time.Duration // since the load began
	Target     int           // events to commit
	Committed  int           // by the writers
	RolledBack int
	Published  int // messages on the stream
	Handled    int // by the reader
	Kills      int
	Epoch      uint64 // of the checkpoint: each take-over adds one
	Streamer   string // what it is doing
}

// rates are events per second.
type rates struct{ Committed, Published, Handled int }

// Output to a terminal is drawn over itself this often, other output gets a line
// this often.
const (
	redrawEvery = 100 * time.Millisecond
	lineEvery   = time.Second
	rateOver    = time.Second
)

// view shows samples: a block that is redrawn on a terminal, lines elsewhere.
type view struct {
	mu       sync.Mutex // servers tell of their progress from goroutines of their own
	out      io.Writer
	terminal bool
	drawn    int // lines of the block on the screen
	last     time.Duration
	recent   []sample // those of the last rateOver, for the rates
}

// newView finds out whether out is a terminal that can move its cursor.
func newView(out *os.File) *view {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && os.Getenv("TERM") != ""
	return &view{out: out, terminal: terminal}
}

// say prints a line that stays, above the block.
func (v *view) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprint(v.out, v.erase(), fmt.Sprintf(format, args...), "\n")
}

// show draws s if it is time to.
func (v *view) show(s sample) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.rates(s)
	switch {
	case v.terminal:
		v.draw(block(s, r))
	case s.At-v.last >= lineEvery:
		v.last = s.At
		fmt.Fprintln(v.out, line(s, r))
	}
}

// keep shows the last sample, with the average rates, and leaves it there for good.
func (v *view) keep(s sample) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := ratesBetween(sample{}, s)
	if !v.terminal {
		fmt.Fprintln(v.out, line(s, r)+"  (average rates)")
		return
	}
	v.draw(append(block(s, r), ""))
	v.drawn = 0
}

// draw replaces the block by one write, or it would flicker. It switches line wrap
// off meanwhile, so that a narrow terminal can't make more lines of them.
func (v *view) draw(lines []string) {
	fmt.Fprint(v.out, v.erase()+"\x1b[?7l"+strings.Join(lines, "\n")+"\n\x1b[?7h")
	v.drawn = len(lines)
}

// erase is what takes the block off the screen.
func (v *view) erase() string {
	if v.drawn == 0 {
		return ""
	}
	up := fmt.Sprintf("\x1b[%dA\r\x1b[J", v.drawn)
	v.drawn = 0
	return up
}

// rates compares s with the oldest sample of the last second.
func (v *view) rates(s sample) rates {
	v.recent = append(v.recent, s)
	for len(v.recent) > 2 && s.At-v.recent[1].At >= rateOver {
		v.recent = v.recent[1:]
	}
	return ratesBetween(v.recent[0], s)
}

func ratesBetween(old, s sample) rates {
	span := (s.At - old.At).Seconds()
	if span <= 0 {
		return rates{}
	}
	per := func(now, then int) int { return int(float64(now-then)/span + 0.5) }
	return rates{per(s.Committed, old.Committed), per(s.Published, old.Published), per(s.Handled, old.Handled)}
}

// block is the picture for a terminal.
func block(s sample, r rates) []string {
	row := func(name string, n, rate int) string {
		return fmt.Sprintf("  %-10s %s %9s %8s/s", name, bar(n, s.Target, 32), thousands(n), thousands(rate))
	}
	return []string{
		"",
		row("committed", s.Committed, r.Committed),
		row("published", s.Published, r.Published),
		row("handled", s.Handled, r.Handled),
		"",
		fmt.Sprintf("  streamer   %s · epoch %d · killed %s", s.Streamer, s.Epoch, times(s.Kills)),
		fmt.Sprintf("  behind     %s to publish, %s to handle · %s rolled back · %.1f s",
			behind(s.Committed, s.Published), behind(s.Published, s.Handled), thousands(s.RolledBack), s.At.Seconds()),
	}
}

// line is one sample where nothing can be redrawn.
func line(s sample, r rates) string {
	return fmt.Sprintf("%5.1fs %3d%%  committed %s (%s/s)  published %s (%s/s)  handled %s (%s/s)  lag %s  kills %d  epoch %d",
		s.At.Seconds(), percent(s.Handled, s.Target), thousands(s.Committed), thousands(r.Committed),
		thousands(s.Published), thousands(r.Published), thousands(s.Handled), thousands(r.Handled),
		behind(s.Committed, s.Handled), s.Kills, s.Epoch)
}

func bar(n, of, width int) string {
	full := min(width, width*n/max(of, 1))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// behind is never less than nothing: an event can be on the stream before its
// writer was told that it is committed.
func behind(ahead, follower int) string { return thousands(max(0, ahead-follower)) }

func percent(n, of int) int { return 100 * n / max(of, 1) }

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

// thousands writes 12345 as 12,345.
func thousands(n int) string {
	s := strconv.Itoa(n)
	from := 0
	if n < 0 {
		from = 1
	}
	for i := len(s) - 3; i > from; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

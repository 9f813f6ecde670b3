package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func someSample() sample {
	return sample{At: 3 * time.Second, Target: 4000, Committed: 3000, RolledBack: 250, Published: 2900, Handled: 1000,
		Kills: 1, Epoch: 2, Streamer: "streaming"}
}

func TestBlock(t *testing.T) {
	want := `
  committed  ████████████████████████░░░░░░░░     3,000    1,000/s
  published  ███████████████████████░░░░░░░░░     2,900      967/s
  handled    ████████░░░░░░░░░░░░░░░░░░░░░░░░     1,000      333/s

  streamer   streaming · epoch 2 · killed once
  behind     100 to publish, 1,900 to handle · 250 rolled back · 3.0 s`
	s := someSample()
	got := block(s, ratesBetween(sample{}, s))
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	for _, l := range got {
		if n := utf8.RuneCountInString(l); n > 79 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

func TestLine(t *testing.T) {
	want := "  3.0s  25%  committed 3,000 (1,000/s)  published 2,900 (967/s)  handled 1,000 (333/s)  lag 2,000  kills 1  epoch 2"
	s := someSample()
	if got := line(s, ratesBetween(sample{}, s)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// On a terminal each picture takes the one before off the screen, and a line
// that stays goes above it.
func TestViewRedraws(t *testing.T) {
	var out strings.Builder
	v := &view{out: &out, terminal: true}
	v.show(someSample())
	if strings.Contains(out.String(), "\x1b[J") {
		t.Errorf("the first picture erased something: %q", out.String())
	}
	for _, step := range []func(){func() { v.show(someSample()) }, func() { v.say("killed") }} {
		out.Reset()
		step()
		if !strings.HasPrefix(out.String(), "\x1b[7A\r\x1b[J") {
			t.Errorf("does not erase the 7 lines before: %q", out.String())
		}
	}
	out.Reset()
	v.keep(someSample())
	v.say("the end")
	if strings.Contains(out.String(), "\x1b[J") {
		t.Errorf("what was to stay was erased: %q", out.String())
	}
}

// Elsewhere there is a line each second and no escape sequence at all.
func TestViewLines(t *testing.T) {
	var out strings.Builder
	v := &view{out: &out}
	for at := time.Duration(0); at <= 2*time.Second; at += 100 * time.Millisecond {
		v.show(sample{At: at, Target: 10})
	}
	v.say("said")
	if got := strings.Count(out.String(), "\n"); got != 3 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d lines: %q", got, out.String())
	}
}

// Rates are those of the last second, whatever came before.
func TestRates(t *testing.T) {
	v := &view{}
	var r rates
	for i := range 50 {
		s := sample{At: time.Duration(i) * 100 * time.Millisecond, Handled: 7}
		if i > 30 {
			s.Committed, s.Published = 100*(i-30), 50*(i-30)
		}
		r = v.rates(s)
	}
	if want := (rates{1000, 500, 0}); r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -123: "-123", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

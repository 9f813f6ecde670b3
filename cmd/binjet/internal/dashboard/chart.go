package dashboard

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The picture, in its own units, and what of it the lines have.
const (
	chartWidth, chartHeight = 360.0, 150.0
	plotLeft, plotRight     = 46.0, 352.0
	plotTop, plotBottom     = 10.0, 128.0
)

// chart is an SVG picture of the last quarter of an hour, and the same in words.
type chart struct {
	Name, Unit string
	Now, Note  string // the newest value, and what the unit leaves open
	Words      string // for who can't see it
	Area       string // path of the first line, closed to the ground
	Lines      []line
	Ticks      []tick
	Times      []tick
	Empty      bool
}

type line struct{ Class, Path, Label string }

type tick struct {
	At    float64
	Label string
}

// series is one line: a value per bucket, NaN where none is known.
type series struct {
	class, label string
	values       []float64
}

// draw makes a chart. format words a value.
func draw(name, unit, note string, format func(float64) string, all ...series) chart {
	peak, known := 0.0, false
	for _, s := range all {
		for _, v := range s.values {
			if !math.IsNaN(v) {
				peak, known = math.Max(peak, v), true
			}
		}
	}
	c := chart{Name: name, Unit: unit, Note: note, Empty: !known, Now: "–"}
	top := niceTop(peak)
	for i, s := range all {
		path := s.path(top)
		c.Lines = append(c.Lines, line{s.class, path, s.label})
		if i == 0 {
			c.Area = s.area(top)
			if v, ok := newest(s.values); ok {
				c.Now = format(v)
			}
		}
	}
	for _, part := range []float64{0, 0.5, 1} {
		c.Ticks = append(c.Ticks, tick{y(part*top, top), format(part * top)})
	}
	for _, ago := range []int{15, 10, 5, 0} {
		label := fmt.Sprintf("−%d min", ago)
		if ago == 0 {
			label = "now"
		}
		c.Times = append(c.Times, tick{plotRight - float64(ago)/15*(plotRight-plotLeft), label})
	}
	c.Words = fmt.Sprintf("%s: now %s, at most %s in the last 15 minutes", name, c.Now, format(peak))
	if !known {
		c.Words = name + ": nothing known in the last 15 minutes"
	}
	return c
}

// newest is the last value, of the bucket that is filling or the one before.
func newest(values []float64) (float64, bool) {
	for i := len(values) - 1; i >= max(0, len(values)-2); i-- {
		if !math.IsNaN(values[i]) {
			return values[i], true
		}
	}
	return 0, false
}

func x(i, n int) float64 { return plotLeft + float64(i)/float64(n-1)*(plotRight-plotLeft) }

func y(v, top float64) float64 { return plotBottom - v/top*(plotBottom-plotTop) }

// path is broken where nothing is known. A value with none beside it is a dot.
func (s series) path(top float64) string {
	var b strings.Builder
	for i, v := range s.values {
		switch {
		case math.IsNaN(v):
		case i > 0 && !math.IsNaN(s.values[i-1]):
			fmt.Fprintf(&b, "L%.1f %.1f", x(i, len(s.values)), y(v, top))
		default:
			fmt.Fprintf(&b, "M%.1f %.1fh.1", x(i, len(s.values)), y(v, top))
		}
	}
	return b.String()
}

// area is what lies below the line.
func (s series) area(top float64) string {
	var b strings.Builder
	for i, v := range s.values {
		if math.IsNaN(v) {
			continue
		}
		first, last := i == 0 || math.IsNaN(s.values[i-1]), i == len(s.values)-1 || math.IsNaN(s.values[i+1])
		at := x(i, len(s.values))
		if first {
			fmt.Fprintf(&b, "M%.1f %.1f", at, plotBottom)
		}
		fmt.Fprintf(&b, "L%.1f %.1f", at, y(v, top))
		if last {
			fmt.Fprintf(&b, "L%.1f %.1fZ", at, plotBottom)
		}
	}
	return b.String()
}

// niceTop is the least of 1, 2, 5, 10, … (and their thousandths) that is not below v.
func niceTop(v float64) float64 {
	if v <= 0 {
		return 1
	}
	scale := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if v <= step*scale*1.0000001 {
			return step * scale
		}
	}
	return 10 * scale
}

// charts are those of the page.
func (h *History) charts(wholeSeconds bool) []chart {
	points := h.points()
	values := func(f func(bucket) (float64, bool)) []float64 {
		list := make([]float64, len(points))
		for i, b := range points {
			v, ok := f(b)
			if !ok {
				v = math.NaN()
			}
			list[i] = v
		}
		return list
	}
	seconds := func(d time.Duration, ok bool) (float64, bool) { return d.Seconds(), ok }
	note := "from the commit at the source to the stream"
	if wholeSeconds {
		note += "; MariaDB's commit times have whole seconds, so up to one second of it is not real"
	}
	return []chart{
		draw("Throughput", "events/s", "of this source, by whichever process leads", number,
			series{"first", "events/s", values(bucket.rate)}),
		draw("Latency", "median, and the worst", note, span,
			series{"first", "median", values(func(b bucket) (float64, bool) { return seconds(b.median()) })},
			series{"second", "worst", values(func(b bucket) (float64, bool) { return seconds(b.worst, len(b.latencies) > 0) })}),
		draw("Lag", "behind the source", "known to the leader only", span,
			series{"first", "lag", values(func(b bucket) (float64, bool) { return seconds(b.lag, b.lagKnown) })}),
	}
}

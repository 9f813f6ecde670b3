package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// number is a count or a rate with few digits: 0.4, 12, 1.2k, 3.4M.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10 && v != math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v < 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v < 1e6:
		return short(v/1e3) + "k"
	}
	return short(v/1e6) + "M"
}

func short(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// nbsp keeps a number and its unit on one line.
const nbsp = "\u00a0"

// span is a number of seconds for people: 0, 0.4 ms, 12 ms, 1.5 s, 2 min, 3 h 5 min, 4 d 2 h.
func span(seconds float64) string { return strings.ReplaceAll(breakingSpan(seconds), " ", nbsp) }

func breakingSpan(seconds float64) string {
	switch {
	case seconds == 0:
		return "0"
	case seconds < 0.01:
		return strconv.FormatFloat(seconds*1000, 'f', 1, 64) + " ms"
	case seconds < 1:
		return strconv.FormatFloat(seconds*1000, 'f', 0, 64) + " ms"
	case seconds < 10 && seconds != math.Trunc(seconds):
		return strconv.FormatFloat(seconds, 'f', 1, 64) + " s"
	case seconds < 120:
		return strconv.FormatFloat(seconds, 'f', 0, 64) + " s"
	}
	return longSpan(time.Duration(seconds * float64(time.Second)))
}

func longSpan(d time.Duration) string {
	minutes, hours, days := int(d.Minutes()), int(d.Hours()), int(d.Hours()/24)
	switch {
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case hours < 24:
		return fmt.Sprintf("%d h %d min", hours, minutes%60)
	}
	return fmt.Sprintf("%d d %d h", days, hours%24)
}

// whole is a count with its thousands apart: 1,234,567.
func whole(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size is a number of bytes: 12 B, 3.4 KiB.
func size(n uint64) string {
	const units = "KMGTP"
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v, i := float64(n)/1024, 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	return short(v) + " " + units[i:i+1] + "iB"
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("15:04:05.000")
}

func date(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000")
}

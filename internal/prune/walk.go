package prune

import (
	"encoding/hex"
	"strings"
	"time"
)

// clockSkew is how far the clock that made an ID may be from the server's.
const clockSkew = time.Hour

// walk is how far a sweep through a table is.
type walk struct {
	keep   time.Duration
	cutoff time.Time

	after  any // the last ID that was read, or jumped to; nil before the first
	oldest time.Time
	done   bool
}

// take returns the old ones of a page, and moves on behind it.
func (w *walk) take(rows []row) (old []any) {
	for _, r := range rows {
		switch {
		case r.old:
			old = append(old, r.id)
		case !r.created.IsZero() && (w.oldest.IsZero() || r.created.Before(w.oldest)):
			w.oldest = r.created
		}
	}
	w.done = len(rows) < pageRows
	if len(rows) == 0 {
		return nil
	}
	w.after = rows[len(rows)-1].id
	if len(old) == 0 {
		w.jump()
	}
	return old
}

// jump leaves out the IDs that are UUIDv7 of the time that is kept: behind an ID of
// that time follow only others of it, up to those of the future. An old row among
// them, one with a younger ID, goes in a later round.
func (w *walk) jump() {
	at, ok := madeAt(w.after)
	future := w.cutoff.Add(w.keep + clockSkew)
	if ok && at.After(w.cutoff.Add(clockSkew)) && at.Before(future) {
		w.after = firstOf(future, w.after)
	}
}

// madeAt is the time in a UUIDv7, as text or as its 16 bytes.
func madeAt(id any) (time.Time, bool) {
	var u [16]byte
	switch id := id.(type) {
	case string:
		plain := strings.ReplaceAll(id, "-", "")
		if len(id) != 36 || len(plain) != 32 {
			return time.Time{}, false
		}
		if _, err := hex.Decode(u[:], []byte(plain)); err != nil {
			return time.Time{}, false
		}
	case []byte:
		if copy(u[:], id) != len(id) || len(id) != len(u) {
			return time.Time{}, false
		}
	}
	if u[6]>>4 != 7 {
		return time.Time{}, false
	}
	var ms int64
	for _, b := range u[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms), true
}

// firstOf is an ID before all UUIDv7 of that time and later, written like another.
func firstOf(at time.Time, like any) any {
	var u [16]byte
	ms := at.UnixMilli()
	for i := range 6 {
		u[i] = byte(ms >> (8 * (5 - i)))
	}
	s, isText := like.(string)
	if !isText {
		return u[:]
	}
	h := hex.EncodeToString(u[:])
	h = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	if strings.ToUpper(s) == s && strings.ToLower(s) != s {
		h = strings.ToUpper(h)
	}
	return h
}

package admin

import (
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// lag says how far the stream may be behind the source. "Now minus the commit
// time of the last published event" would grow while nothing happens, so it is
// put together from what is known:
//
//   - the oldest transaction that was read and is not published: its age;
//   - how late the last transaction was when it was read, of whatever table: while
//     an old log is being read, that is how old it is;
//   - the time since the connection to the source was lost, since nobody knows what
//     commits there.
//
// Commit times of MariaDB have whole seconds, so up to one second of it is not real.
type lag struct {
	published checkpoint.Position
	newest    checkpoint.GTID // read, with rows, and not published
	oldest    time.Time       // commit time of the oldest such; zero when there is none
	late      time.Duration   // of the last transaction when it was read
}

// read notes a transaction of the source.
func (l *lag) read(g checkpoint.GTID, committed time.Time, rows int, now time.Time) {
	if !committed.IsZero() {
		l.late = max(0, now.Sub(committed))
	}
	if rows == 0 || l.published.Has(g) { // the reader says so after the relay may have published it
		return
	}
	l.newest = g
	if l.oldest.IsZero() {
		l.oldest = committed
	}
}

// committed notes the position of a checkpoint that the stream holds.
func (l *lag) committed(p checkpoint.Position) {
	l.published = p
	switch {
	case l.newest.IsZero():
	case l.published.Has(l.newest), l.newest.File != "" && p.Binlog.IsZero(): // the position came to be one of GTIDs
		l.newest, l.oldest = checkpoint.GTID{}, time.Time{}
	case p.Last != nil && p.Last.Committed.After(l.oldest):
		l.oldest = p.Last.Committed
	}
}

// at is the lag at now.
func (l *lag) at(now time.Time, source link) time.Duration {
	d := l.late
	if !l.oldest.IsZero() {
		d = max(d, now.Sub(l.oldest))
	}
	if source.known && !source.connected {
		d = max(d, now.Sub(source.since))
	}
	return d
}

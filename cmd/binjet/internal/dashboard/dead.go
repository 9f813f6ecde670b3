package dashboard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/internal/deadletter"
)

// deadFilter is what is searched for among the dead letters. What is empty fits all.
type deadFilter struct {
	By, Topic  string // exact, and a pattern; the broker chooses by these
	Text       string // a part of the reason, the ID or the key
	Before     uint64 // of their numbers; 0 is the end
	PerPage    int
	MaxScanned int // of dead letters that are read for one page
}

func (f deadFilter) fits(l *consumer.DeadLetter) bool {
	for _, where := range []string{l.Reason, l.Message.ID, l.Message.Key} {
		if strings.Contains(strings.ToLower(where), strings.ToLower(f.Text)) {
			return true
		}
	}
	return false
}

// deadPage is a part of what was searched for, the newest first.
type deadPage struct {
	Letters []*consumer.DeadLetter
	// Older is what to search before for more, 0 when that was all. Cut says that the
	// search ended since it took too much, not since the page is full.
	Older uint64
	Cut   bool
}

// letters opens the dead letters; nil without an error where there is no stream for them yet.
func (s *stream) letters(ctx context.Context) (*consumer.DeadLetters, uint64, error) {
	if err := s.connected(); err != nil {
		return nil, 0, err
	}
	of, err := s.js.Stream(ctx, deadletter.Stream(s.name))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("look up stream %s: %w", deadletter.Stream(s.name), err)
	}
	list, err := consumer.OpenDeadLetters(ctx, s.js, s.name)
	return list, of.CachedInfo().State.LastSeq, err
}

// search reads one page. Dead letters are found forwards only, so it goes back by
// steps that grow while little is found.
func (s *stream) search(ctx context.Context, f deadFilter) (page deadPage, err error) {
	list, last, err := s.letters(ctx)
	if err != nil || list == nil {
		return page, err
	}
	end := last + 1
	if f.Before > 0 {
		end = min(end, f.Before)
	}
	scanned, step := 0, uint64(f.PerPage)
	for end > 1 && len(page.Letters) < f.PerPage {
		if scanned >= f.MaxScanned {
			page.Cut = true
			break
		}
		begin := end - min(step, end-1)
		found, read, err := between(ctx, list, f, begin, end)
		if err != nil {
			return page, err
		}
		if scanned += read; read < f.PerPage/2 {
			step *= 8
		}
		page.Letters = append(found, page.Letters...)
		end = begin
	}
	page.finish(f.PerPage, end)
	return page, nil
}

// finish leaves the last n of what was found, newest first; all before end was not looked at.
func (p *deadPage) finish(n int, end uint64) {
	if end > 1 {
		p.Older = end
	}
	if extra := len(p.Letters) - n; extra > 0 {
		p.Letters = p.Letters[extra:]
		p.Older = p.Letters[0].Sequence
	}
	for i, j := 0, len(p.Letters)-1; i < j; i, j = i+1, j-1 {
		p.Letters[i], p.Letters[j] = p.Letters[j], p.Letters[i]
	}
}

// between reads those of [begin, end).
func between(ctx context.Context, list *consumer.DeadLetters, f deadFilter, begin, end uint64) (found []*consumer.DeadLetter, read int, err error) {
	for letter, err := range list.List(ctx, consumer.Filter{By: f.By, Topic: f.Topic, From: begin}) {
		if err != nil {
			return nil, read, err
		}
		if letter.Sequence >= end {
			break
		}
		if read++; f.fits(letter) {
			found = append(found, letter)
		}
	}
	return found, read, nil
}

// outcome is what became of one dead letter that somebody acted on.
type outcome struct {
	Sequence uint64
	Error    string
}

const actTimeout = 25 * time.Second // less than the server's time to answer

// act replays or drops dead letters. It goes on when the browser goes away: half of
// what was asked for is worse than all of it.
func (s *stream) act(ctx context.Context, what string, sequences []uint64) (list []outcome, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	letters, _, err := s.letters(ctx)
	if err != nil {
		return nil, err
	}
	if letters == nil {
		return nil, fmt.Errorf("there is no stream %s", deadletter.Stream(s.name))
	}
	do := letters.Replay
	if what == actionDrop {
		do = letters.Drop
	}
	for _, seq := range sequences {
		o := outcome{Sequence: seq}
		if _, err := do(ctx, seq); err != nil {
			o.Error = err.Error()
		}
		list = append(list, o)
	}
	return list, nil
}

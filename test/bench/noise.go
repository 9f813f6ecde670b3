package main

import (
	"context"
	"fmt"
	"time"
)

// quietOnes is how many transactions of another table come before each event.
const quietOnes = 99

// foreign is what reading events of other tables costs.
type foreign struct {
	Transactions, Events int     // read while it was measured
	Reader, Binjet       float64 // µs of processor time for each event
}

// noise measures a binlog of which one row in a hundred is an event.
func noise(ctx context.Context, w *world) error {
	t := &table{Title: "Events of other tables, 99 for each event of the outbox", Head: []string{"÷ go-mysql's header parsing", "binjet CPU µs per binlog event", "go-mysql", "transactions", "binlog events"},
		Note: "Processor time of the process over all events of the binlog; binjet's has the publishing of that one percent in it. go-mysql decodes the headers of all rows, and the rows of the outbox."}
	b, err := w.newNoise(ctx)
	if err != nil {
		return err
	}
	nats, err := w.startBroker(ctx, 1)
	if err != nil {
		return err
	}
	defer nats.close()
	var all []foreign
	var mine, theirs []float64
	for range w.opts.rounds {
		f, err := w.noiseTurn(ctx, nats, b)
		if err != nil {
			return err
		}
		w.say("foreign events: binjet %.2f µs, go-mysql %.2f µs", f.Binjet, f.Reader)
		all, mine, theirs = append(all, f), append(mine, f.Binjet), append(theirs, f.Reader)
	}
	t.add(ratio(median(mine), median(theirs)), fmt.Sprintf("%.2f", median(mine)), fmt.Sprintf("%.2f", median(theirs)), thousands(float64(all[0].Transactions)), thousands(float64(all[0].Events)))
	w.report.keep("noise", all, t)
	return w.drop(ctx, b)
}

// newNoise writes one transaction for each row.
func (w *world) newNoise(ctx context.Context) (*backlog, error) {
	b, err := w.newDatabase(ctx, "noise")
	if err != nil {
		return nil, err
	}
	if _, err := w.db.ExecContext(ctx, "CREATE TABLE noise.other (id BIGINT PRIMARY KEY, body VARCHAR(255) NOT NULL) ENGINE=InnoDB"); err != nil {
		return nil, err
	}
	b.rows = w.opts.noiseRows / (quietOnes + 1)
	total := b.rows * (quietOnes + 1)
	e := newEvents(200, 1)
	event := outboxInsert(b, e)
	say := w.saying(fmt.Sprintf("write %d transactions, one in %d to the outbox", total, quietOnes+1), total)
	return b, w.fill(ctx, fill{rows: total, perTx: 1, writers: 4, progress: say, insert: func(to []byte, n, _ int) []byte {
		if n%(quietOnes+1) == quietOnes {
			return event(to, n, 1)
		}
		return fmt.Appendf(to, "INSERT INTO noise.other VALUES (%d,'%s')", n, e.body(n))
	}})
}

func (w *world) noiseTurn(ctx context.Context, nats *broker, b *backlog) (f foreign, err error) {
	r, err := runRole[read](ctx, w, "read", reading{Addr: w.srv.Addr(), Flavor: w.opts.server, Before: b.before, Outbox: b.db, HeadersOnly: true, Rows: b.rows})
	if err != nil {
		return f, err
	}
	f.Reader = micros(r.CPU) / float64(r.Events)
	if err := w.initStream(ctx, nats, b); err != nil {
		return f, err
	}
	s, err := w.startStreamer(nats, b, b.before)
	if err != nil {
		return f, err
	}
	defer s.stop()
	total := b.rows * (quietOnes + 1)
	from, cpu, err := s.passes(ctx, total/10)
	if err != nil {
		return f, err
	}
	to, until, err := s.passes(ctx, total)
	if err != nil {
		return f, err
	}
	if from == to { // all of a few were read before the first look: then the process's start counts, too
		from, cpu = 0, 0
	}
	eventsOfTx := float64(r.Events) / float64(r.Rows*(quietOnes+1))
	f.Transactions = to - from
	f.Events = int(float64(f.Transactions) * eventsOfTx)
	f.Binjet = micros(until-cpu) / float64(f.Events)
	return f, nil
}

// passes waits until it has read n transactions, and returns how many it had then,
// and its processor time. It asks seldom, since answering costs time, too.
func (s *streamer) passes(ctx context.Context, n int) (read int, cpu time.Duration, err error) {
	if _, err := s.firstScrape(ctx); err != nil {
		return 0, 0, err
	}
	asked := time.Time{}
	err = poll(ctx, 10*time.Minute, "the binlog to be read", func() (bool, error) {
		if s.ended() {
			return false, s.failed()
		}
		if time.Since(asked) < 100*time.Millisecond {
			return false, nil
		}
		asked = time.Now()
		m, err := s.scrape(ctx)
		if err != nil {
			return false, err
		}
		if cpu, err = cpuOf(s.pid()); err != nil {
			return false, err
		}
		read = int(m["binjet_source_transactions_total"])
		return read >= n, nil
	})
	return read, cpu, err
}

package main

import (
	"context"
	"fmt"
)

// hugeSize is the payload of its rows.
const hugeSize = 256

// huge measures one transaction that no process can hold.
func huge(ctx context.Context, w *world) error {
	t := &table{Title: "One huge transaction", Head: []string{"peak RSS MB", "rows", "events/s", "CPU µs/event", "GC share", "allocations/event", "first event after s"},
		Note: "A transaction beyond source.max_transaction_bytes is read twice: first for its extent, then in parts."}
	b, err := w.newDatabase(ctx, "huge")
	if err != nil {
		return err
	}
	if err := w.fillHuge(ctx, b); err != nil {
		return err
	}
	nats, err := w.startBroker(ctx, 1)
	if err != nil {
		return err
	}
	defer nats.close()
	if err := w.initStream(ctx, nats, b); err != nil {
		return err
	}
	d, err := w.drainBinjet(ctx, nats, b, b.before)
	if err != nil {
		return err
	}
	d.Way, d.Variant = wayBinjet, fmt.Sprintf("one transaction of %d rows", b.rows)
	w.say("%s: peak %s MB, %s/s", d.Variant, megabytes(d.Peak), thousands(d.Rate))
	t.add(megabytes(d.Peak), thousands(float64(b.rows)), thousands(d.Rate), fmt.Sprintf("%.1f", d.CPU), fmt.Sprintf("%.0f %%", 100*d.GC), fmt.Sprintf("%.1f", d.Mallocs), fmt.Sprintf("%.2f", d.Start))
	w.report.keep("huge", d, t)
	return w.drop(ctx, b)
}

// fillHuge writes all rows in one transaction.
func (w *world) fillHuge(ctx context.Context, b *backlog) error {
	const perStatement = 500
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	b.rows = w.opts.hugeRows / perStatement * perStatement
	insert, say := outboxInsert(b, newEvents(hugeSize, b.rows)), w.saying(fmt.Sprintf("write one transaction of %d rows", b.rows), b.rows)
	for n := 0; n < b.rows; n += perStatement {
		if _, err := conn.ExecContext(ctx, string(insert(nil, n, perStatement))); err != nil {
			return err
		}
		say(n)
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const orderCount = 50

// errDeclined is why one transaction in ten is rolled back after it has inserted
// its events.
var errDeclined = errors.New("the payment was declined")

// tally is what the writers themselves know of their transactions: the check
// holds table, stream and history against it.
type tally struct {
	mu         sync.Mutex
	committed  []string // event IDs
	rolledBack []string
}

func (t *tally) add(list *[]string, ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*list = append(*list, ids...)
}

func (t *tally) counts() (committed, rolledBack int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.committed), len(t.rolledBack)
}

// write changes orders at random until it has committed quota events, one every
// interval on average. A slow database only makes it take longer.
func write(ctx context.Context, s *orderService, t *tally, quota int, interval time.Duration) error {
	begun := time.Now()
	for done := 0; done < quota; {
		if err := waitUntil(ctx, begun.Add(time.Duration(done)*interval)); err != nil {
			return err
		}
		ids, err := changeSome(ctx, s, min(ordersAtOnce(), quota-done))
		switch {
		case err == nil:
			t.add(&t.committed, ids)
			done += len(ids)
		case errors.Is(err, errDeclined):
			t.add(&t.rolledBack, ids)
		default:
			return fmt.Errorf("writer: %w", err)
		}
	}
	return nil
}

// changeSome changes n orders in one transaction and returns the IDs of its events.
func changeSome(ctx context.Context, s *orderService, n int) ([]string, error) {
	orders := pickOrders(n)
	events, err := s.change(ctx, orders, func() error {
		if rand.IntN(10) == 0 {
			return errDeclined
		}
		return nil
	})
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids, err
}

// ordersAtOnce: two transactions in three are about one order, the others about
// up to four.
func ordersAtOnce() int {
	if rand.IntN(3) > 0 {
		return 1
	}
	return 2 + rand.IntN(3)
}

// pickOrders returns n different orders. They are sorted, since transactions
// that lock rows in one order never wait for each other in a circle.
func pickOrders(n int) []string {
	orders := make([]string, n)
	for i, number := range rand.Perm(orderCount)[:n] {
		orders[i] = orderID(number)
	}
	slices.Sort(orders)
	return orders
}

func orderID(number int) string { return fmt.Sprintf("order-%02d", number+1) }

func waitUntil(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

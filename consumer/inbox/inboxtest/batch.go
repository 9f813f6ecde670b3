package inboxtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/binjet/binjet/consumer/inbox"
)

// runBatch tests what a store does when it is an [inbox.BatchTx].
func runBatch(t *testing.T, newStore func(t *testing.T) TxStore) {
	with := func(tests map[string]func(*batchTest)) map[string]func(*txTest) {
		all := map[string]func(*txTest){}
		for name, test := range tests {
			all[name] = func(t *txTest) { test(&batchTest{t, t.Inbox.(inbox.BatchTx)}) }
		}
		return all
	}
	run(t, newStore, with(map[string]func(*batchTest){
		"tells new from known":          (*batchTest).newAndKnown,
		"is a set of single claims":     (*batchTest).mixesWithSingle,
		"a rolled back batch is free":   (*batchTest).rolledBack,
		"waits for the commit of one":   (*batchTest).waitsForCommit,
		"waits for the rollback of one": (*batchTest).waitsForRollback,
		"overlapping batches":           (*batchTest).overlapping,
		"a lost batch is not confirmed": (*batchTest).lost,
	}), with(map[string]func(*batchTest){
		"larger than a statement":         (*batchTest).large,
		"bad IDs are refused":             (*batchTest).badIDs,
		"IDs are told apart":              (*batchTest).ids,
		"a part of it lost is not enough": (*batchTest).partLost,
	}))
}

type batchTest struct {
	*txTest
	batch inbox.BatchTx
}

// claimBatch is claim for many.
func (t *batchTest) claimBatch(ctx context.Context, ids []string) (tx *sql.Tx, fresh []bool, conflicts int, err error) {
	for ; ; conflicts++ {
		tx, err := t.DB.BeginTx(ctx, &sql.TxOptions{Isolation: t.level})
		if err != nil {
			return nil, nil, conflicts, err
		}
		fresh, err := t.batch.ClaimBatch(ctx, tx, t.consumer, ids)
		if err == nil {
			return tx, fresh, conflicts, nil
		}
		_ = tx.Rollback()
		if !errors.Is(err, inbox.ErrConflict) {
			return nil, nil, conflicts, err
		}
	}
}

// committed claims ids, commits, and returns the fresh ones in order.
func (t *batchTest) committed(ids ...string) []string {
	t.Helper()
	tx, fresh, _, err := t.claimBatch(t.ctx, ids)
	t.must(err)
	if len(fresh) != len(ids) {
		t.Fatalf("%d answers for %d IDs", len(fresh), len(ids))
	}
	var own []string
	for i, id := range ids {
		if fresh[i] {
			own = append(own, id)
		}
	}
	t.must(t.batch.ConfirmBatch(t.ctx, tx, t.consumer, own))
	t.must(tx.Commit())
	return own
}

func (t *batchTest) want(got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("fresh are %q, want %q", got, want)
	}
}

func (t *batchTest) newAndKnown() {
	t.want(t.committed())
	t.want(t.committed("b", "d"), "b", "d")
	t.want(t.committed("e", "d", "c", "b", "a"), "e", "c", "a")
	t.want(t.committed("a", "b", "c", "d", "e"))
	t.want(t.committed("x", "a", "x", "w", "x", "w"), "x", "w") // copies within a batch
	t.consumer += "-other"
	t.want(t.committed("a", "b"), "a", "b")
}

func (t *batchTest) mixesWithSingle() {
	t.commit(t.granted("1"), "1")
	t.want(t.committed("1", "2"), "2")
	t.wantDone("2")
	tx, fresh, _, err := t.claimBatch(t.ctx, []string{"2", "3", "4"})
	t.must(err)
	t.must(t.Inbox.Confirm(t.ctx, tx, t.consumer, "3"))
	t.must(tx.Commit())
	if !slices.Equal(fresh, []bool{false, true, true}) {
		t.Errorf("fresh is %v", fresh)
	}
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("id-%06d", i)
	}
	return ids
}

func (t *batchTest) large() {
	ids := numbered(1201)
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	known := slices.Clone(ids[:601])
	t.want(t.committed(known...), known...)
	t.want(t.committed(ids...), ids[601:]...)
	t.want(t.committed(ids...))
}

func (t *batchTest) rolledBack() {
	tx, _, _, err := t.claimBatch(t.ctx, []string{"1", "2"})
	t.must(err)
	t.must(tx.Rollback())
	tx = t.begin()
	if err := t.batch.ConfirmBatch(t.ctx, tx, t.consumer, []string{"1", "2"}); !errors.Is(err, inbox.ErrLost) {
		t.Errorf("confirm after a rollback: %v, want ErrLost", err)
	}
	t.must(tx.Rollback())
	t.want(t.committed("1", "2"), "1", "2")
}

func (t *batchTest) badIDs() {
	tx := t.begin()
	for _, id := range badIDs() {
		if _, err := t.batch.ClaimBatch(t.ctx, tx, t.consumer, []string{"good", id}); err == nil {
			t.Errorf("ID %q is taken", id)
		}
	}
	t.must(tx.Rollback())
	t.want(t.committed("good"), "good") // and nothing was left of those
}

func (t *batchTest) ids() {
	all := slices.Compact(slices.Sorted(slices.Values(alike())))
	t.want(t.committed(all...), all...)
	t.want(t.committed(all...))
}

// secondBatch claims in another goroutine, and returns once it waits.
func (t *batchTest) secondBatch(ids ...string) <-chan []string {
	t.Helper()
	ended := make(chan []string, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		tx, fresh, _, err := t.claimBatch(t.ctx, ids)
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			t.Errorf("the second batch: %v", err)
		}
		var own []string
		for i := range fresh {
			if fresh[i] {
				own = append(own, ids[i])
			}
		}
		ended <- own
	}()
	<-begun
	t.awaitWaiting(1)
	return ended
}

func (t *batchTest) waitsForCommit() {
	tx, _, _, err := t.claimBatch(t.ctx, []string{"b", "z"})
	t.must(err)
	ended := t.secondBatch("a", "b", "c")
	t.must(tx.Commit())
	t.want(<-ended, "a", "c")
}

func (t *batchTest) waitsForRollback() {
	tx := t.granted("b")
	ended := t.secondBatch("c", "b", "a")
	t.must(tx.Rollback())
	t.want(<-ended, "c", "b", "a")
}

// overlapping: processes get the same messages in different order. Each is fresh
// once; and where the level lets a claim wait for another, none is ever a deadlock's victim.
func (t *batchTest) overlapping() {
	const workers, rounds, each = 8, 10, 20
	t.DB.SetMaxOpenConns(workers)
	var mu sync.Mutex
	seen, lost := map[string]int{}, 0
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for round := range rounds {
				ids := numbered((round + 2) * each)[round*each:]
				rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				tx, fresh, conflicts, err := t.claimBatch(t.ctx, ids)
				if err == nil {
					err = tx.Commit()
				}
				if err != nil {
					t.Errorf("round %d: %v", round, err)
					return
				}
				mu.Lock()
				for i := range fresh {
					if fresh[i] {
						seen[ids[i]]++
					}
				}
				lost += conflicts
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, id := range numbered((rounds + 1) * each) {
		if seen[id] != 1 {
			t.Errorf("%s was fresh %d times", id, seen[id])
		}
	}
	if lost > 0 && (t.level == sql.LevelDefault || t.level == sql.LevelReadCommitted) {
		t.Errorf("%d batches lost against others that they should have waited for", lost)
	}
}

func (t *batchTest) lost() {
	tx, _, _, err := t.claimBatch(t.ctx, []string{"1", "2"})
	t.must(err)
	_, err = tx.ExecContext(t.ctx, "ROLLBACK")
	t.must(err)
	if err := t.batch.ConfirmBatch(t.ctx, tx, t.consumer, []string{"1", "2"}); !errors.Is(err, inbox.ErrLost) {
		t.Errorf("confirm of a lost batch: %v, want ErrLost", err)
	}
	_ = tx.Rollback()
}

func (t *batchTest) partLost() {
	t.want(t.committed("1"), "1")
	tx, _, _, err := t.claimBatch(t.ctx, []string{"2"})
	t.must(err)
	if err := t.batch.ConfirmBatch(t.ctx, tx, t.consumer, []string{"2", "3"}); !errors.Is(err, inbox.ErrLost) {
		t.Errorf("confirm of what was not claimed: %v, want ErrLost", err)
	}
	_ = tx.Rollback()
}

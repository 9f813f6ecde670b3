//go:build binjet_mutants

package relay

import (
	"context"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// mutant is the rule to break: an environment variable of the torture suite.
func mutant(name string) bool { return os.Getenv("BINJET_TEST_MUTANT") == name }

// mutateCommit drops the expectation, or publishes the checkpoint before the events
// and each by itself; true says that it has published everything.
func (p *publisher) mutateCommit(w *write, msg *nats.Msg) bool {
	if mutant("no expectation") {
		delete(msg.Header, headerExpectedSeq)
	}
	if !mutant("checkpoint first") || len(w.batch.msgs) == 0 {
		return false
	}
	for _, name := range []string{headerBatchID, headerBatchSequence, headerBatchCommit} {
		delete(msg.Header, name)
	}
	_ = p.nc.PublishMsg(msg)
	_ = p.nc.Flush()
	<-time.After(20 * time.Millisecond)
	for _, event := range w.batch.msgs {
		unlabel(event)
		_ = p.nc.PublishMsg(event)
	}
	return true
}

// mutateStage gives an event something new to say each time that it is sent.
func (*publisher) mutateStage(msg *nats.Msg) {
	if mutant("another retry") {
		msg.Header["Outbox-Tried"] = []string{randomToken(4)}
	}
}

// mutateSettle sends a commit once more before it asks what became of it.
func (p *publisher) mutateSettle(ctx context.Context, w *write) {
	if !mutant("not read back") || w.alone {
		return
	}
	w.batch.restage()
	_, _ = p.commitAndWait(ctx, w)
}

// mutateRecord forgets what is prepared and undecided.
func mutateRecord(c *checkpoint.Checkpoint) {
	if mutant("undecided forgotten") {
		c.XA = nil
	}
}

// mutateAlone drops what an event by itself expects.
func (*publisher) mutateAlone(msg *nats.Msg) {
	if mutant("no expectation") {
		for _, name := range []string{headerExpectedSeq, headerExpectedSubject, headerExpectedLast} {
			delete(msg.Header, name)
		}
	}
}

// mutateVerdict ignores that another relay has taken over.
func mutateVerdict(v verdict, cause error, w *write, held store.Held) (verdict, error) {
	if v != deposed || !mutant("fence ignored") {
		return v, cause
	}
	w.attempt.prevSeq, w.attempt.prevNonce = held.Seq, held.Nonce
	w.batch.restage()
	return resend, ErrReconnected // as if it had not been sent
}

// mutantIsLate resumes one transaction too late.
func mutantIsLate() bool { return mutant("resume late") }

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publishing is what a process that only publishes is told.
type publishing struct {
	URL               string
	How               string // async, batch, sync
	Rows, Size, PerTx int
	Rate              int    // messages a second; 0 for as many as possible. sync only
	File              string `json:",omitempty"` // for "event sent", in nanoseconds. sync only
}

// published is how long each synchronous publish took, in nanoseconds.
type published struct{ Took []int64 }

func runPublish(p publishing) (any, error) {
	nc, err := nats.Connect(p.URL)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	e := newEvents(p.Size, p.PerTx)
	switch p.How {
	case "async":
		return published{}, publishAsync(nc, p, e)
	case "batch":
		return published{}, publishBatches(nc, p, e)
	case "sync":
		return publishSync(nc, p, e)
	}
	return nil, fmt.Errorf("%q is no way to publish", p.How)
}

// pendingAcks is more than a round trip to the broker holds: nats.go's own default.
const pendingAcks = 4000

func publishAsync(nc *nats.Conn, p publishing, e *events) error {
	failed := make(chan error, 1)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(pendingAcks),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
			select {
			case failed <- err:
			default:
			}
		}))
	if err != nil {
		return err
	}
	for n := range p.Rows {
		// One try to find the stream, for with more the order is anybody's guess; and a
		// sender that is held up waits, which is what the default of 200 ms does not.
		if _, err := js.PublishMsgAsync(e.message(n), jetstream.WithRetryAttempts(0), jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	<-js.PublishAsyncComplete()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// Raw atomic batches: 999 messages, so that with binjet's checkpoint they would be the
// broker's limit, and a second batch is on its way while the first is committed.
const (
	batchMessages = 999
	batchesAhead  = 2
)

func publishBatches(nc *nats.Conn, p publishing, e *events) error {
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	waiting := 0
	for from := 0; from < p.Rows; from += batchMessages {
		to := min(p.Rows, from+batchMessages)
		id := "raw-" + strconv.Itoa(from)
		for n := from; n < to; n++ {
			msg := e.message(n)
			msg.Header["Nats-Batch-Id"] = []string{id}
			msg.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(n - from + 1)}
			if n == to-1 {
				msg.Header["Nats-Batch-Commit"] = []string{"1"}
				msg.Reply = inbox
			}
			if err := nc.PublishMsg(msg); err != nil {
				return err
			}
		}
		if waiting++; waiting == batchesAhead {
			if err := batchAnswer(answers); err != nil {
				return err
			}
			waiting--
		}
	}
	for ; waiting > 0; waiting-- {
		if err := batchAnswer(answers); err != nil {
			return err
		}
	}
	return nil
}

func batchAnswer(answers *nats.Subscription) error {
	msg, err := answers.NextMsg(30 * time.Second)
	if err != nil {
		return fmt.Errorf("the answer to a batch: %w", err)
	}
	var ack struct {
		Seq   uint64          `json:"seq"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &ack); err != nil {
		return err
	}
	if ack.Seq == 0 {
		return errors.New("a batch was refused: " + string(ack.Error))
	}
	return nil
}

// publishSync waits for each acknowledgement, and for the next one's time.
func publishSync(nc *nats.Conn, p publishing, e *events) (published, error) {
	var out published
	var sent []int64
	js, err := jetstream.New(nc)
	if err != nil {
		return out, err
	}
	begun := time.Now()
	for n := range p.Rows {
		if p.Rate > 0 {
			time.Sleep(time.Until(begun.Add(time.Duration(n) * time.Second / time.Duration(p.Rate))))
		}
		at := time.Now()
		if _, err := js.PublishMsg(context.Background(), e.message(n)); err != nil {
			return out, err
		}
		out.Took = append(out.Took, time.Since(at).Nanoseconds())
		sent = append(sent, at.UnixNano())
	}
	if p.File == "" {
		return out, nil
	}
	return out, writeLines(p.File, len(sent), func(i int) string { return fmt.Sprint(i, sent[i]) })
}

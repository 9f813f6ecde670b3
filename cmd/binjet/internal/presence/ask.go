package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// maxProcesses bounds the answers that are kept.
const maxProcesses = 100

// ErrNobody says that no relay answered: none runs that knows how to, or one of both
// sides lacks the permission.
var ErrNobody = errors.New("no relay answered")

// Ask asks all relays behind the subject. It takes first for all that answer to do so,
// and as long again and a look's time for those that are not done. ErrNobody is returned without
// any; other errors are those of the connection and ctx.
func Ask(ctx context.Context, nc *nats.Conn, subject string, first time.Duration) ([]Process, error) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest(subject, inbox, nil); err != nil {
		return nil, fmt.Errorf("ask on %s: %w", subject, err)
	}
	found := make(map[string]Process)
	if err := gather(ctx, sub, first, found, false); err != nil {
		return nil, err
	}
	if err := gather(ctx, sub, first+lookTimeout, found, true); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w on %s", ErrNobody, subject)
	}
	list := make([]Process, 0, len(found))
	for _, p := range found {
		list = append(list, p)
	}
	slices.SortFunc(list, order)
	return list, nil
}

// gather takes answers for a time; with early no longer than until all are complete.
func gather(ctx context.Context, sub *nats.Subscription, d time.Duration, found map[string]Process, early bool) error {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for !early || !complete(found) {
		msg, err := sub.NextMsgWithContext(limited)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case limited.Err() != nil, errors.Is(err, nats.ErrNoResponders): // nobody subscribes
			return nil
		case err != nil:
			return fmt.Errorf("wait for answers: %w", err)
		}
		note(found, msg.Data)
	}
	return nil
}

// note leaves out what is no answer of a relay.
func note(found map[string]Process, body []byte) {
	var p Process
	if json.Unmarshal(body, &p) != nil || p.Instance == "" {
		return
	}
	had, known := found[p.Instance]
	if !known && len(found) >= maxProcesses || known && had.Source != nil && p.Source == nil {
		return
	}
	found[p.Instance] = p
}

func complete(found map[string]Process) bool {
	for _, p := range found {
		if p.Source == nil {
			return false
		}
	}
	return true
}

package torture

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
)

// content is what there is of an event besides its ID, in short: as its writer made it, or
// as it stands in the stream.
type content uint64

// contentOf takes everything that a row says, the subject that follows from it included.
func contentOf(subject, topic, key string, headers map[string][]string, payload []byte) content {
	h := fnv.New64a()
	for _, s := range []string{subject, topic, key} {
		fmt.Fprintf(h, "%d %s ", len(s), s)
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(h, "%s: %q ", name, headers[name])
	}
	_, _ = h.Write(payload)
	return content(h.Sum64())
}

// headersOfRows are those that a writer may give; all others are the streamer's own.
var headersOfRows = []string{"Content-Type", "Writer-Says"}

// contentIn is that of a message of the stream.
func contentIn(subject string, header nats.Header, payload []byte) content {
	own := map[string][]string{}
	for _, name := range headersOfRows {
		if v := header.Values(name); len(v) > 0 {
			own[name] = v
		}
	}
	return contentOf(subject, header.Get("Outbox-Topic"), header.Get("Outbox-Key"), own, payload)
}

// written are the contents of all events that were inserted, by their IDs.
type written struct {
	mu   sync.Mutex
	list map[string]content
}

func (w *written) add(m *binjet.Message) {
	headers := map[string][]string{}
	for name, v := range m.Headers {
		headers[name] = v
	}
	if m.ContentType != "" {
		headers["Content-Type"] = []string{m.ContentType}
	}
	partition := fnv.New32a()
	_, _ = partition.Write([]byte(m.Key))
	subject := fmt.Sprintf("outbox.%d.%s", partition.Sum32()%partitions, m.Topic)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = map[string]content{}
	}
	w.list[m.ID] = contentOf(subject, m.Topic, m.Key, headers, m.Payload)
}

// newMessage makes an event of which everything but its ID is drawn.
func newMessage(rng *rand.Rand, id string, bytes int) *binjet.Message {
	m := &binjet.Message{ID: id, Topic: []string{"orders.created", "orders.paid", "stock"}[rng.IntN(3)], Payload: make([]byte, 1+rng.IntN(bytes))}
	if n := rng.IntN(25); n < 24 { // or none
		m.Key = fmt.Sprint([]string{"", "", "", "ключ ", "'\" "}[n%5], n)
	}
	if rng.IntN(2) == 0 {
		m.ContentType, m.Headers = "application/x-"+id, binjet.Headers{"Writer-Says": {fmt.Sprint(rng.Uint64()), "twice"}}
	}
	if rng.IntN(3) > 0 { // what is all zeros can be compressed
		for i := 0; i < len(m.Payload); i += 8 {
			for k, v := i, rng.Uint64(); k < min(i+8, len(m.Payload)); k, v = k+1, v>>8 {
				m.Payload[k] = byte(v)
			}
		}
	}
	return m
}

// contentsHold: each event of the stream is what its writer wrote, byte for byte.
func contentsHold(events []event, written map[string]content) error {
	for i, e := range events {
		if want, ok := written[e.id]; ok && e.content != want {
			return fmt.Errorf("I1: %s is not what was written%s", e, window(events, i, nil, 0))
		}
	}
	return nil
}

package inbox

import (
	"container/list"
	"context"
	"sync"
)

// DefaultMemorySize is how many handled messages a [Memory] remembers unless told otherwise.
const DefaultMemorySize = 100_000

// Memory is an [Inbox] in this process's memory: it suppresses duplicates while
// the process lives and among its own workers, and forgets everything when it
// ends. It remembers the last messages that were handled, up to a fixed number
// (about 200 bytes each), and so promises no time. Claims that are running are
// never forgotten.
type Memory struct {
	limit int

	mu      sync.Mutex
	running map[memoryKey]struct{}
	done    map[memoryKey]*list.Element
	order   *list.List // of memoryKey, the least recently seen first
}

type memoryKey struct{ consumer, id string }

// NewMemory returns an empty inbox that remembers limit handled messages;
// limit ≤ 0 is [DefaultMemorySize].
func NewMemory(limit int) *Memory {
	if limit <= 0 {
		limit = DefaultMemorySize
	}
	return &Memory{
		limit:   limit,
		running: make(map[memoryKey]struct{}),
		done:    make(map[memoryKey]*list.Element),
		order:   list.New(),
	}
}

// Claim implements [Inbox]. It fails for no other reason than [ErrDone], [ErrBusy]
// and a name or an ID that no inbox takes.
func (m *Memory) Claim(_ context.Context, consumer, id string) (Claim, error) {
	if err := checkMarks(consumer, id); err != nil {
		return nil, err
	}
	key := memoryKey{consumer, id}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.done[key]; ok {
		m.order.MoveToBack(e)
		return nil, ErrDone
	}
	if _, ok := m.running[key]; ok {
		return nil, ErrBusy
	}
	m.running[key] = struct{}{}
	return &memoryClaim{m, key}, nil
}

type memoryClaim struct {
	inbox *Memory
	key   memoryKey
}

func (c *memoryClaim) Done(context.Context) error {
	m := c.inbox
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, c.key)
	if _, ok := m.done[c.key]; ok {
		return nil
	}
	m.done[c.key] = m.order.PushBack(c.key)
	for m.order.Len() > m.limit {
		oldest := m.order.Remove(m.order.Front()).(memoryKey)
		delete(m.done, oldest)
	}
	return nil
}

func (c *memoryClaim) Release(context.Context) error {
	c.inbox.mu.Lock()
	defer c.inbox.mu.Unlock()
	delete(c.inbox.running, c.key)
	return nil
}

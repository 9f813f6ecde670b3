package consumer

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// silentBeats is how many beats a member may miss before it counts as dead.
const silentBeats = 3

// beat is what a member of an ordered consumer says of itself, again and again,
// under its own key of the bucket.
type beat struct {
	V        int    `json:"v"`
	Instance string `json:"instance"`
	// N counts the member's beats.
	N uint64 `json:"n"`
	// Every is how often it beats.
	Every time.Duration `json:"every_ns"`
	Host  string        `json:"host"`
	PID   int           `json:"pid"`
	// Shares are those it owns, with their epochs.
	Shares map[int]uint64 `json:"shares,omitempty"`
	At     time.Time      `json:"at"`
}

// roster knows which members live. It has no clock but this member's own beats
// as they come back from the bucket: whoever was not heard of during several of
// them is dead, or paused, or cut off. While the broker is away no beat comes
// back, and nobody dies of it.
type roster struct {
	me      string
	every   time.Duration
	ticked  uint64 // the last beat of ours that came back
	members map[string]*member
}

type member struct {
	last   beat
	silent int // beats of ours since it was heard
}

func newRoster(me string, every time.Duration) *roster {
	return &roster{me: me, every: every, members: make(map[string]*member)}
}

// heard notes a beat.
func (r *roster) heard(b beat) {
	if b.Instance != r.me {
		r.members[b.Instance] = &member{last: b}
	}
}

// left notes that a member has gone.
func (r *roster) left(instance string) { delete(r.members, instance) }

// tick notes that a beat of ours came back, and reports whether that was news.
func (r *roster) tick(n uint64) bool {
	if n <= r.ticked {
		return false
	}
	r.ticked = n
	for name, m := range r.members {
		m.silent++
		if r.dead(m) && m.silent > 100*silentBeats {
			delete(r.members, name) // its key has expired long ago
		}
	}
	return true
}

// dead allows a member that beats less often its own time.
func (r *roster) dead(m *member) bool {
	allowed := silentBeats * max(1, float64(m.last.Every)/float64(r.every))
	return float64(m.silent) > allowed+1
}

// alive reports whether an instance is known and not dead; this one is.
func (r *roster) alive(instance string) bool {
	m, ok := r.members[instance]
	return instance == r.me || ok && !r.dead(m)
}

// claims reports whether a member says that it has a share.
func (r *roster) claims(instance string, share int) bool {
	m, ok := r.members[instance]
	return ok && m.last.Shares[share] > 0
}

// live lists the living members, this one included, in order.
func (r *roster) live() []string {
	names := []string{r.me}
	for name := range r.members {
		if r.alive(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// owners says, share by share, which living member other than this one owns it
// and since which epoch; "" where none does.
func (r *roster) owners(shares int) ([]string, []uint64) {
	names, epochs := make([]string, shares), make([]uint64, shares)
	for _, name := range slices.Sorted(maps.Keys(r.members)) {
		if !r.alive(name) {
			continue
		}
		for share, epoch := range r.members[name].last.Shares {
			if share >= 0 && share < shares && epoch > epochs[share] {
				names[share], epochs[share] = name, epoch
			}
		}
	}
	return names, epochs
}

// assign says who should own each share: every living member the same number,
// but for one. owners are those of now, "" for none. The result depends on
// nothing else, and no share moves that need not.
func assign(members, owners []string) []string {
	if len(members) == 0 {
		return make([]string, len(owners))
	}
	owned := make(map[string]int, len(members))
	for _, owner := range owners {
		owned[owner]++
	}
	order := slices.Clone(members) // those who own most keep the odd ones
	slices.SortFunc(order, func(a, b string) int {
		return cmp.Or(cmp.Compare(owned[b], owned[a]), cmp.Compare(a, b))
	})
	places := make(map[string]int, len(members))
	for i, name := range order {
		places[name] = len(owners) / len(order)
		if i < len(owners)%len(order) {
			places[name]++
		}
	}
	result := make([]string, len(owners))
	for share, owner := range owners {
		if places[owner] > 0 {
			result[share] = owner
			places[owner]--
		}
	}
	for share, owner := range result {
		for owner == "" {
			if places[order[0]] == 0 {
				order = order[1:]
				continue
			}
			owner = order[0]
			places[owner]--
		}
		result[share] = owner
	}
	return result
}

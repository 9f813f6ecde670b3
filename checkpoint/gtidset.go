package checkpoint

import (
	"bytes"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// GTIDSet is a set of transactions. For MySQL it is intervals per server UUID
// and tag. For MariaDB it is the last transaction per domain, which stands for
// all before it in that domain. The zero value is the empty set of either flavour.
//
// A set is not safe for concurrent use, and copying one shares its content: use
// [GTIDSet.Clone].
type GTIDSet struct {
	origins map[origin][]interval // MySQL
	domains map[uint32]GTID       // MariaDB
}

type origin struct {
	uuid [16]byte
	tag  string
}

// interval is first..last, both in the set.
type interval struct{ first, last uint64 }

// IsEmpty reports whether the set holds nothing.
func (s GTIDSet) IsEmpty() bool { return len(s.origins) == 0 && len(s.domains) == 0 }

// Flavor is "" for the empty set.
func (s GTIDSet) Flavor() Flavor {
	switch {
	case len(s.origins) > 0:
		return MySQL
	case len(s.domains) > 0:
		return MariaDB
	}
	return ""
}

// Clone returns an independent copy.
func (s GTIDSet) Clone() GTIDSet {
	var c GTIDSet
	if s.origins != nil {
		c.origins = make(map[origin][]interval, len(s.origins))
		for o, list := range s.origins {
			c.origins[o] = append([]interval(nil), list...)
		}
	}
	if s.domains != nil {
		c.domains = make(map[uint32]GTID, len(s.domains))
		for d, g := range s.domains {
			c.domains[d] = g
		}
	}
	return c
}

// Add puts g into the set. In MariaDB it becomes the domain's position, also
// when its sequence number is lower: the order of the binlog is what counts there.
// A transaction that is named by file and offset is of no set.
func (s *GTIDSet) Add(g GTID) {
	switch g.Flavor {
	case MySQL:
		if g.File == "" {
			s.addInterval(origin{g.UUID, g.Tag}, interval{g.N, g.N})
		}
	case MariaDB:
		if s.domains == nil {
			s.domains = make(map[uint32]GTID)
		}
		s.domains[g.Domain] = g
	}
}

// AddSet puts all of other into s.
func (s *GTIDSet) AddSet(other GTIDSet) {
	for o, list := range other.origins {
		for _, iv := range list {
			s.addInterval(o, iv)
		}
	}
	for _, g := range other.domains {
		s.Add(g)
	}
}

func (s *GTIDSet) addInterval(o origin, iv interval) {
	if s.origins == nil {
		s.origins = make(map[origin][]interval)
	}
	list := s.origins[o]
	if n := len(list); n > 0 && list[n-1].last+1 == iv.first { // the common case: the next one
		list[n-1].last = iv.last
		return
	}
	from := sort.Search(len(list), func(i int) bool { return list[i].last+1 >= iv.first })
	to := from
	for to < len(list) && list[to].first <= iv.last+1 {
		iv.first = min(iv.first, list[to].first)
		iv.last = max(iv.last, list[to].last)
		to++
	}
	s.origins[o] = append(list[:from], append([]interval{iv}, list[to:]...)...)
}

// Contains reports whether g is in the set.
func (s GTIDSet) Contains(g GTID) bool {
	if g.Flavor == MariaDB {
		last, ok := s.domains[g.Domain]
		return ok && last.N >= g.N
	}
	return covers(s.origins[origin{g.UUID, g.Tag}], interval{g.N, g.N})
}

// ContainsSet reports whether all of other is in s.
func (s GTIDSet) ContainsSet(other GTIDSet) bool { return other.Minus(s).IsEmpty() }

// Equal reports whether both sets hold the same.
func (s GTIDSet) Equal(other GTIDSet) bool { return s.String() == other.String() }

// Minus returns what is in s and not in other. For MariaDB that is the position
// of every domain in which s is ahead of other.
func (s GTIDSet) Minus(other GTIDSet) GTIDSet {
	var d GTIDSet
	for o, list := range s.origins {
		for _, iv := range list {
			for _, rest := range subtract(iv, other.origins[o]) {
				d.addInterval(o, rest)
			}
		}
	}
	for _, g := range s.domains {
		if !other.Contains(g) {
			d.Add(g)
		}
	}
	return d
}

func covers(list []interval, iv interval) bool {
	i := sort.Search(len(list), func(i int) bool { return list[i].last >= iv.first })
	return i < len(list) && list[i].first <= iv.first && iv.last <= list[i].last
}

// subtract returns the parts of iv that no interval of list covers; list is sorted.
func subtract(iv interval, list []interval) (rest []interval) {
	for _, cut := range list {
		if cut.last < iv.first || cut.first > iv.last {
			continue
		}
		if cut.first > iv.first {
			rest = append(rest, interval{iv.first, cut.first - 1})
		}
		if cut.last >= iv.last {
			return rest
		}
		iv.first = cut.last + 1
	}
	return append(rest, iv)
}

// Domain returns the last transaction of a MariaDB domain.
func (s GTIDSet) Domain(domain uint32) (GTID, bool) {
	g, ok := s.domains[domain]
	return g, ok
}

// Count is how many transactions a MySQL set holds.
func (s GTIDSet) Count() (n uint64) {
	for _, list := range s.origins {
		for _, iv := range list {
			n += iv.last - iv.first + 1
		}
	}
	return n
}

// Ahead is how many transactions s holds and other does not. MariaDB's are counted by
// the numbers of each domain, which may have gaps; a domain that other does not know
// counts from 0.
func (s GTIDSet) Ahead(other GTIDSet) uint64 {
	missing := s.Minus(other)
	n := missing.Count()
	for domain, g := range missing.domains {
		n += g.N - other.domains[domain].N
	}
	return n
}

// HasOrigin reports whether a MySQL set holds transactions of a server, by its UUID.
func (s GTIDSet) HasOrigin(uuid string) bool {
	for o := range s.origins {
		if formatUUID(o.uuid) == strings.ToLower(uuid) {
			return true
		}
	}
	return false
}

// Without returns a copy of s that lacks a MariaDB domain.
func (s GTIDSet) Without(domain uint32) GTIDSet {
	c := s.Clone()
	delete(c.domains, domain)
	return c
}

// Members are the last transactions of the domains of a MariaDB set, by domain; of
// a MySQL set there are none.
func (s GTIDSet) Members() []GTID {
	var list []GTID
	for _, d := range s.sortedDomains() {
		list = append(list, s.domains[d])
	}
	return list
}

func (s GTIDSet) single() (GTID, bool) {
	if len(s.origins)+len(s.domains) != 1 {
		return GTID{}, false
	}
	for _, g := range s.domains {
		return g, true
	}
	for o, list := range s.origins {
		if len(list) == 1 && list[0].first == list[0].last {
			return GTID{Flavor: MySQL, UUID: o.uuid, Tag: o.tag, N: list[0].first}, true
		}
	}
	return GTID{}, false
}

// String is the server's own notation, sorted, without white space:
// uuid:1-5:9:tag:1-3,uuid:… or domain-server-n,…
func (s GTIDSet) String() string {
	var b strings.Builder
	origins := s.sortedOrigins()
	for i, o := range origins {
		sameUUID := i > 0 && o.uuid == origins[i-1].uuid
		if !sameUUID {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(formatUUID(o.uuid))
		}
		if o.tag != "" {
			b.WriteByte(':')
			b.WriteString(o.tag)
		}
		for _, iv := range s.origins[o] {
			b.WriteByte(':')
			b.WriteString(strconv.FormatUint(iv.first, 10))
			if iv.last != iv.first {
				b.WriteByte('-')
				b.WriteString(strconv.FormatUint(iv.last, 10))
			}
		}
	}
	for i, d := range s.sortedDomains() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s.domains[d].String())
	}
	return b.String()
}

func (s GTIDSet) sortedOrigins() []origin {
	list := make([]origin, 0, len(s.origins))
	for o := range s.origins {
		list = append(list, o)
	}
	sort.Slice(list, func(i, j int) bool {
		if c := bytes.Compare(list[i].uuid[:], list[j].uuid[:]); c != 0 {
			return c < 0
		}
		return list[i].tag < list[j].tag
	})
	return list
}

func (s GTIDSet) sortedDomains() []uint32 {
	list := make([]uint32, 0, len(s.domains))
	for d := range s.domains {
		list = append(list, d)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}

// MarshalText makes a set a JSON string.
func (s GTIDSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is [ParseGTIDSet].
func (s *GTIDSet) UnmarshalText(text []byte) (err error) {
	*s, err = ParseGTIDSet(string(text))
	return err
}

// ParseGTIDSet reads the notation of either server, which it tells apart by the
// colon. White space between members, as SQL shows it, is dropped.
func ParseGTIDSet(text string) (GTIDSet, error) {
	var s GTIDSet
	for _, member := range strings.Split(text, ",") {
		member = strings.TrimSpace(member)
		if member == "" {
			continue
		}
		if err := s.parseMember(member); err != nil {
			return GTIDSet{}, fmt.Errorf("GTID set: %w", err)
		}
	}
	if len(s.origins) > 0 && len(s.domains) > 0 {
		return GTIDSet{}, fmt.Errorf("GTID set %q mixes MySQL and MariaDB notation", text)
	}
	return s, nil
}

func (s *GTIDSet) parseMember(member string) error {
	uuid, rest, isMySQL := strings.Cut(member, ":")
	if !isMySQL {
		g, err := parseMariaDB(member)
		if err != nil {
			return err
		}
		if old, ok := s.domains[g.Domain]; ok {
			return fmt.Errorf("domain %d stands twice: %s and %s", g.Domain, old, g)
		}
		s.Add(g)
		return nil
	}
	u, err := parseUUID(strings.TrimSpace(uuid))
	if err != nil {
		return err
	}
	o := origin{uuid: u}
	for _, part := range strings.Split(rest, ":") {
		part = strings.TrimSpace(part)
		if isTag(part) {
			o.tag = strings.ToLower(part)
			continue
		}
		iv, err := parseInterval(part)
		if err != nil {
			return fmt.Errorf("%q: %w", member, err)
		}
		s.addInterval(o, iv)
	}
	return nil
}

// isTag: a tag begins with a letter or an underscore and has at most 32 characters.
func isTag(s string) bool {
	if s == "" || len(s) > 32 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_') {
			return false
		}
	}
	return true
}

func parseInterval(s string) (interval, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, err1 := strconv.ParseUint(first, 10, 63)
	b, err2 := strconv.ParseUint(last, 10, 63)
	if err1 != nil || err2 != nil || a == 0 || b < a {
		return interval{}, fmt.Errorf("%q is not an interval of transaction numbers", s)
	}
	return interval{a, b}, nil
}

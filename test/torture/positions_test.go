package torture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// gtids is a GTID set as text, read without any code of binjet: MySQL's as intervals
// by source and tag, MariaDB's as the last number of each domain.
type gtids map[string][][2]uint64

func parseGTIDs(text string) (gtids, error) {
	set := gtids{}
	for part := range strings.SplitSeq(strings.ReplaceAll(text, "\n", ""), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if !strings.Contains(part, ":") {
			domain, n, err := mariaGTID(part)
			if err != nil {
				return nil, err
			}
			set[domain] = [][2]uint64{{1, n}}
			continue
		}
		source, rest, _ := strings.Cut(part, ":")
		name := source
		for item := range strings.SplitSeq(rest, ":") {
			first, last, isRange := strings.Cut(item, "-")
			from, err := strconv.ParseUint(first, 10, 64)
			if err != nil { // a tag, of the intervals behind it
				name = source + ":" + item
				continue
			}
			to := from
			if isRange {
				if to, err = strconv.ParseUint(last, 10, 64); err != nil {
					return nil, fmt.Errorf("%q is no interval: %w", item, err)
				}
			}
			set[name] = append(set[name], [2]uint64{from, to})
		}
	}
	return set, nil
}

// mariaGTID is domain-server-number.
func mariaGTID(s string) (domain string, n uint64, err error) {
	f := strings.Split(s, "-")
	if len(f) != 3 {
		return "", 0, fmt.Errorf("%q is no GTID", s)
	}
	n, err = strconv.ParseUint(f[2], 10, 64)
	return f[0], n, err
}

// split is what a GTID belongs to, and its number.
func split(gtid string) (name string, n uint64, err error) {
	i := strings.LastIndexByte(gtid, ':')
	if i < 0 {
		return mariaGTID(gtid)
	}
	n, err = strconv.ParseUint(gtid[i+1:], 10, 64)
	return gtid[:i], n, err
}

func (s gtids) has(name string, n uint64) bool {
	return slices.ContainsFunc(s[name], func(r [2]uint64) bool { return r[0] <= n && n <= r[1] })
}

// span is a group with where its events stand in the stream.
type span struct {
	group
	name      string
	number    uint64
	seqs      []uint64 // of those that the stream has, in its order
	decidedBy *span    // of one that is prepared; nil if it never was decided
}

func spans(groups []group, events []event) ([]*span, error) {
	where := map[string]uint64{}
	for _, e := range events {
		where[e.id] = e.seq
	}
	prepared := map[string]*span{}
	var list []*span
	for _, g := range groups {
		s := &span{group: g}
		var err error
		if s.name, s.number, err = split(g.gtid); err != nil {
			return nil, err
		}
		for _, id := range g.events {
			if seq, ok := where[id]; ok {
				s.seqs = append(s.seqs, seq)
			}
		}
		if p := prepared[g.decided]; g.decided != "" && p != nil {
			p.decidedBy = s
			delete(prepared, g.decided)
		}
		if g.prepared != "" {
			prepared[g.prepared] = s
		}
		list = append(list, s)
	}
	return list, nil
}

// positionsHold is I4: what a checkpoint's resume set holds was in the binlog, all of
// its events are before the checkpoint, and a transaction that is prepared and undecided
// is named beside it, so that its rows are read again. What it does not hold is not in
// the stream yet, but for the part of a large transaction that it names.
func positionsHold(list []checkpoint, groups []group, events []event) error {
	all, err := spans(groups, events)
	if err != nil {
		return err
	}
	if len(list) > 0 && len(all) == 0 {
		return fmt.Errorf("I4: the binlog has no GTIDs to look for")
	}
	for _, c := range list {
		resume, err := parseGTIDs(c.Resume)
		if err != nil {
			return fmt.Errorf("I4: checkpoint at %d: %w", c.seq, err)
		}
		known := map[string]uint64{}
		for _, s := range all {
			known[s.name] = max(known[s.name], s.number)
			if err := c.holds(s, resume); err != nil {
				return fmt.Errorf("I4: the checkpoint at %d, true at %d, resumes behind %s: %w", c.seq, c.at(), c.Resume, err)
			}
		}
		for name, ranges := range resume {
			if last := ranges[len(ranges)-1][1]; last > known[name] {
				return fmt.Errorf("I4: the checkpoint at %d resumes behind %s:%d, which the binlog never had (it ends at %d)", c.seq, name, last, known[name])
			}
		}
	}
	return nil
}

// holds looks at one group.
func (c checkpoint) holds(s *span, resume gtids) error {
	published, _ := slices.BinarySearch(s.seqs, c.at()+1) // of it, when the checkpoint was true
	switch {
	case !resume.has(s.name, s.number):
		part := 0
		if c.Partial != nil && c.Partial.GTID == s.gtid {
			part = c.Partial.Rows
		}
		if published != part {
			return fmt.Errorf("%d events of %s are published by then, it says %d", published, s.gtid, part)
		}
	case published != len(s.events):
		return fmt.Errorf("it holds %s, of which %d of %d events are published by then", s.gtid, published, len(s.events))
	case s.prepared != "" && (s.decidedBy == nil || !resume.has(s.decidedBy.name, s.decidedBy.number)):
		for _, x := range c.XA {
			if x.GTID == s.gtid {
				return nil
			}
		}
		return fmt.Errorf("it holds %s, which prepares %s, undecided then and not named", s.gtid, s.prepared)
	}
	return nil
}

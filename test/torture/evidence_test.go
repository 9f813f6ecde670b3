package torture

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// evidence is what there is to look at once a promise was broken.
type evidence struct {
	trial
	broken      error
	history     []record
	checkpoints []checkpoint
	faults      []string // what the nemesis did, with its times
}

var (
	idsIn       = regexp.MustCompile(`\b(\d+\.\d+)\.\d+\b`)
	sequencesIn = regexp.MustCompile(`\bat (\d+)\b`)
)

// String is the window around the violation: the transactions and the checkpoints that it
// names, and what was done to whom.
func (e evidence) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s of faults\n\n%v\n\nTransactions of these, as their writers know them:\n", e.seed, e.duration, e.broken)
	for _, r := range e.transactions() {
		r.Kept, r.Dropped = short(r.Kept), short(r.Dropped)
		line, _ := json.Marshal(r)
		fmt.Fprintf(&b, "  %s\n", line)
	}
	b.WriteString("\nCheckpoints that were seen there:\n")
	for _, c := range e.around() {
		line, _ := json.Marshal(c)
		fmt.Fprintf(&b, "  %6d %s\n", c.seq, line)
	}
	b.WriteString("\nFaults:\n")
	for _, line := range e.faults {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}

// short leaves out what is in the middle of many; the history has all.
func short(ids []string) []string {
	if len(ids) <= 6 {
		return ids
	}
	return []string{ids[0], ids[1], fmt.Sprintf("%d more", len(ids)-3), ids[len(ids)-1]}
}

// transactions of the events that the violation names.
func (e evidence) transactions() (list []record) {
	named := map[string]bool{}
	for _, m := range idsIn.FindAllStringSubmatch(e.broken.Error(), -1) {
		named[m[1]] = true
	}
	for _, r := range e.history {
		if named[fmt.Sprintf("%d.%d", r.Writer, r.Tx)] {
			list = append(list, r)
		}
	}
	return list
}

// around are the checkpoints between the sequences that the violation names, and one on
// either side.
func (e evidence) around() []checkpoint {
	var first, last uint64
	for _, m := range sequencesIn.FindAllStringSubmatch(e.broken.Error(), -1) {
		seq, _ := strconv.ParseUint(m[1], 10, 64)
		if last = max(last, seq); first == 0 || seq < first {
			first = seq
		}
	}
	from, _ := slices.BinarySearchFunc(e.checkpoints, first, func(c checkpoint, seq uint64) int { return int(c.seq) - int(seq) })
	to, _ := slices.BinarySearchFunc(e.checkpoints, last+1, func(c checkpoint, seq uint64) int { return int(c.seq) - int(seq) })
	return e.checkpoints[max(0, from-1):max(max(0, from-1), min(len(e.checkpoints), to+1))]
}

// write puts it beside the logs.
func (e evidence) write(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "violation.txt"), []byte(e.String()), 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		return err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	for _, r := range e.history {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// ownDir is where a run leaves its logs. It stays if the run fails.
func (w *world) ownDir() {
	if *keep != "" {
		w.dir = filepath.Join(*keep, strings.ReplaceAll(w.t.Name(), "/", "-"))
		must(w.t, os.RemoveAll(w.dir)) // of an earlier run
		must(w.t, os.MkdirAll(w.dir, 0o755))
		return
	}
	dir, err := os.MkdirTemp("", "binjet-torture-run-")
	must(w.t, err)
	w.dir = dir
	w.t.Cleanup(func() {
		if !w.t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
}

// did notes what the nemesis does.
func (w *world) did(what string) {
	line := time.Now().Format("15:04:05.000 ") + what
	w.faults = append(w.faults, line)
	if *keep != "" {
		w.t.Log(line)
	}
}

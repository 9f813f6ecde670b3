package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestApart looks at the processes of a benchmark that runs: with -apart a broker has
// other processors than everything else, and the tables say so.
func TestApart(t *testing.T) {
	all, err := processors()
	if err != nil || len(all) < 2 {
		t.Fatalf("two processors are needed, and there are %v: %v", all, err)
	}
	rest, brokers := all[:len(all)/2], all[len(all)/2:]
	dir := t.TempDir()
	bin, tables := filepath.Join(dir, "bench"), filepath.Join(dir, "tables.md")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c, err := startChild(dir, "bench", exec.Command(bin, "-smoke", "-only", "drain", "-replicas", "1", "-apart", "-markdown", tables))
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	seen := watch(t, c)
	want := map[string]string{"bench": numbers(rest), "database": numbers(rest), "other": numbers(rest), "broker": numbers(brokers)}
	found := make(map[string]bool)
	for pid, p := range seen {
		found[p.kind] = true
		if p.allowed != want[p.kind] {
			t.Errorf("%s, process %d, has processors %s, not %s", p.kind, pid, p.allowed, want[p.kind])
		}
	}
	for kind := range want {
		if !found[kind] {
			t.Errorf("no %s was seen among %d processes", kind, len(seen))
		}
	}
	text, err := os.ReadFile(tables)
	facts := fmt.Sprintf("NATS servers on processors %s, everything else on %s", numbers(brokers), numbers(rest))
	if err != nil || !strings.Contains(string(text), facts) || !strings.Contains(string(text), "**Drain of a backlog, the broker on processors of its own**") {
		t.Errorf("%s\n%v", text, err)
	}
}

// seenProcess is what a process was when it was last looked at.
type seenProcess struct{ kind, allowed string }

// watch looks at a benchmark and its children until it ends. The last look at each
// counts: until a child runs its own program it looks like its parent.
func watch(t *testing.T, c *child) map[int]seenProcess {
	t.Helper()
	seen := make(map[int]seenProcess)
	err := poll(t.Context(), 5*time.Minute, "the benchmark to end", func() (bool, error) {
		for _, pid := range append(childrenOf(t, c.pid()), c.pid()) {
			if p, ok := lookAt(pid, c.pid()); ok {
				seen[pid] = p
			}
		}
		return c.ended(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.err != nil {
		t.Fatal(c.failed())
	}
	return seen
}

func childrenOf(t *testing.T, parent int) (list []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, _ := os.ReadFile(path) // it may have ended meanwhile
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, pid)
		}
	}
	return list
}

// lookAt gives nothing for a process that has ended, which has no arguments any more.
func lookAt(pid, bench int) (p seenProcess, ok bool) {
	args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, list, found := strings.Cut(string(status), "\nCpus_allowed_list:")
	if err != nil || !found || len(args) == 0 || len(env) == 0 {
		return p, false
	}
	list, _, _ = strings.Cut(list, "\n")
	switch p = (seenProcess{"other", numbers(processorsIn(list))}); {
	case pid == bench:
		p.kind = "bench"
	case bytes.Contains(env, []byte(roleEnv+"=nats\x00")):
		p.kind = "broker"
	case bytes.Contains(args, []byte("\x00--datadir=")):
		p.kind = "database"
	}
	return p, true
}

// processorsIn reads the kernel's form of a list, such as 0-2,4.
func processorsIn(text string) (list []int) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, _ := strconv.Atoi(from)
		last, _ := strconv.Atoi(to)
		if !isRange {
			last = first
		}
		for i := first; i <= last; i++ {
			list = append(list, i)
		}
	}
	return list
}

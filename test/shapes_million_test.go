package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// Bounds of memory for a million rows, which take some 300 MB when they are held,
// by the reader's own count.
const (
	readerHeap = 64 << 20  // bytes that live on the heap of the reader
	processMax = 192 << 20 // bytes of the whole process, what it has yet to collect included
)

// TestMillionRows: one transaction of a million rows, read by the reader, and
// published by the process: in order, exactly once, and in bounded memory.
func TestMillionRows(t *testing.T) {
	bin, million, brokerBin := testdb.Command(t), buildProgram(t, "github.com/binjet/binjet/test/million"), buildProgram(t, "github.com/nats-io/nats-server/v2")
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			srv, db := startDB(t, dbserver.Options{Flavor: flavor})
			w := newCmdWorld(t, bin, srv, db, "shop")
			w.broker(t, brokerBin)
			w.init(t)
			s := &binlogSource{srv: srv, db: db, schema: "shop"}
			s.blackhole(t, "outbox") // the rows are in the binlog, and nowhere else
			from := begin(t, s.reader(t, nil)).Resume.String()
			s.run(t, s.conn(t), s.millionSQL()...)

			grown, err := strconv.Atoi(strings.TrimSpace(runProgram(t, million, "binlog", srv.Addr(), from)))
			must(t, err)
			if grown > readerHeap {
				t.Errorf("the reader's heap grew by %d MiB", grown>>20)
			}
			used := w.publishMillion(t, from)
			runProgram(t, million, "stream", w.env["BINJET_NATS_URL"])
			if used > processMax {
				t.Errorf("the process took %d MiB", used>>20)
			}
			t.Logf("the reader's heap grew by %d MiB, the process took %d MiB", grown>>20, used>>20)
			held, err := store.New(w.nc, binjet.DefaultStream, w.schema).Load(t.Context())
			must(t, err)
			s.samePosition(t, held.Position)
		})
	}
}

func buildProgram(t *testing.T, pkg string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, pkg).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return bin
}

func runProgram(t *testing.T, bin string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
	return string(out)
}

// millionSQL inserts the rows by one statement, in the order of their IDs.
func (s *binlogSource) millionSQL() []string {
	const row = "CONCAT('m',LPAD(%[1]s,6,'0')), 't', REPEAT(LPAD(%[1]s,6,'0'),8)"
	if s.srv.Flavor() == dbserver.MariaDB {
		return []string{"INSERT INTO outbox (id,topic,payload) SELECT " + fmt.Sprintf(row, "seq") + " FROM seq_0_to_999999"}
	}
	return []string{"SET SESSION cte_max_recursion_depth=1000000", "INSERT INTO outbox (id,topic,payload) WITH RECURSIVE s (n) AS " +
		"(SELECT 0 UNION ALL SELECT n+1 FROM s WHERE n<999999) SELECT " + fmt.Sprintf(row, "n") + " FROM s"}
}

// broker puts a nats-server in a process of its own in place of the world's one,
// which shares the test's race detector.
func (w *cmdWorld) broker(t *testing.T, bin string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(bin, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", dir, "--ports_file_dir", dir)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var ports struct {
		Nats []string `json:"nats"`
	}
	consumerEventually(t, "the broker's ports", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("program_%d.ports", cmd.Process.Pid)))
		return err == nil && json.Unmarshal(text, &ports) == nil && len(ports.Nats) > 0
	})
	nc, err := nats.Connect(ports.Nats[0])
	must(t, err)
	t.Cleanup(nc.Close)
	w.nc, w.env["BINJET_NATS_URL"] = nc, ports.Nats[0]
	w.js, err = jetstream.New(nc)
	must(t, err)
}

// publishMillion runs the process until the stream holds all of it, and returns
// how many bytes of memory it took at most.
func (w *cmdWorld) publishMillion(t *testing.T, from string) int64 {
	t.Helper()
	d := w.start(t, map[string]string{"BINJET_SOURCE_START": from, "GOGC": "50"}) // counts less of what is garbage
	tick, deadline := time.NewTicker(100*time.Millisecond), time.After(5*time.Minute)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
			_, body := d.get(t.Context(), "/metrics")
			done = strings.Contains(body, fmt.Sprintf("\nbinjet_events_published_total{source=%q} 1e+06\n", w.schema))
		case <-d.done:
			t.Fatalf("it ended: %s", d.text())
		case <-deadline:
			t.Fatalf("not published in five minutes: %s", d.text())
		}
	}
	most := highWater(t, d.cmd.Process.Pid)
	if code := d.stop(t); code != 0 {
		t.Fatalf("exit %d: %s", code, d.text())
	}
	return most
}

// highWater is the most memory that a process ever had, since it was executed.
// What wait reports of it may be that of the process which forked it.
func highWater(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatalf("no VmHWM in %s: %v", text, err)
	}
	return kib << 10
}

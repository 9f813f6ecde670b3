package schema

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/outboxtable"
)

// TestUp: a dry run changes nothing and says what up then does, once.
func TestUp(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		for _, variant := range binjet.Variants() {
			table := "t_" + string(variant)
			args := []string{"schema", "up", "--tables=" + table, "--variant=" + string(variant)}
			before := w.tables(t)
			dry := w.want(t, 0, []string{"CREATE TABLE IF NOT EXISTS `" + table + "`"}, append(args, "--dry-run")...)
			if after := w.tables(t); after != before {
				t.Fatalf("a dry run changed\n%s\nto\n%s", before, after)
			}
			w.want(t, 0, []string{table, "created"}, args...)
			made := w.tables(t)
			w.want(t, 0, []string{table, "exists"}, args...)
			w.want(t, 0, []string{"exists"}, "schema", "up", "--tables="+table)
			w.want(t, 0, []string{"nothing to do"}, append(args, "--dry-run")...)
			if again := w.tables(t); again != made || made == before {
				t.Fatalf("the second up changed\n%s\nto\n%s", made, again)
			}
			w.exec(t, "DROP TABLE "+table, strings.TrimSuffix(strings.TrimSpace(dry.stdout), ";"))
			if by := w.tables(t); by != made {
				t.Fatalf("what was printed makes\n%s\nand up makes\n%s", by, made)
			}
			if faults := w.validate(t, "--tables="+table, "--variant="+string(variant)); len(faults) > 0 {
				t.Fatalf("%s: %v", variant, faults)
			}
		}
	})
}

// TestUpRefuses: what up does not do, it says, and does nothing.
func TestUpRefuses(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.want(t, 0, nil, "schema", "up")
		before := w.tables(t)
		w.want(t, 1, []string{"innodb and not as partitioned", "schema validate"}, "schema", "up", "--variant=partitioned")
		w.exec(t, "CREATE TABLE newer (id INT) COMMENT='binjet outbox v99'")
		w.want(t, 1, []string{"version 99", "newer binjet"}, "schema", "up", "--tables=newer")
		w.exec(t, "DROP TABLE newer")
		if after := w.tables(t); after != before {
			t.Fatalf("changed\n%s\nto\n%s", before, after)
		}
		// A transaction that has the table open: up gives up before writers queue behind
		// it for long, and names the cause.
		w.want(t, 0, nil, "schema", "up", "--tables=days", "--variant=partitioned")
		shorten(t, w, "days", 2)
		before = w.tables(t)
		tx, err := w.db.BeginTx(t.Context(), nil)
		must(t, err)
		defer tx.Rollback()
		_, err = tx.ExecContext(t.Context(), "INSERT INTO days (id, topic, payload) VALUES ('a', 't', '')")
		must(t, err)
		w.want(t, 1, []string{"end the transaction"}, "schema", "up", "--tables=days")
		must(t, tx.Rollback())
		if after := w.tables(t); after != before {
			t.Fatalf("changed\n%s\nto\n%s", before, after)
		}
	})
}

// shorten leaves a partitioned table with n days.
func shorten(t *testing.T, w *world, table string, n int) {
	t.Helper()
	list, err := outboxtable.Load(t.Context(), w.db, "", table)
	must(t, err)
	if len(list) != binjet.DefaultDays+1 {
		t.Fatalf("partitions %v", list)
	}
	w.exec(t, outboxtable.Drop("`"+table+"`", list[n:len(list)-1]))
}

// TestUpAddsDays: rows that no day took are moved into theirs, and no insert ever
// failed for want of a day.
func TestUpAddsDays(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.want(t, 0, nil, "schema", "up", "--variant=partitioned")
		shorten(t, w, "outbox", 1)
		day := func(n int) string {
			return time.Now().UTC().Add(time.Duration(n) * 24 * time.Hour).Format(time.DateOnly)
		}
		for n := -1; n <= binjet.DefaultDays; n++ {
			w.exec(t, "INSERT INTO outbox (id, topic, payload, created_at) VALUES ('"+day(n)+"', 't', '', CONVERT_TZ('"+day(n)+" 12:00:00', '+00:00', @@session.time_zone))")
		}
		rows := w.query(t, "SELECT COUNT(*) FROM outbox PARTITION (pmax)")
		if rows != "7" {
			t.Fatalf("%s rows wait in the catch-all", rows)
		}
		if r := w.binjet(t, "schema", "validate"); r.code != 0 || !strings.Contains(r.stdout, "warn  partitions") {
			t.Fatal(r)
		}
		w.want(t, 0, []string{"changed"}, "schema", "up")
		for n := 1; n < binjet.DefaultDays; n++ {
			partition := outboxtable.Name(time.Now().Add(time.Duration(n) * 24 * time.Hour))
			if id := w.query(t, "SELECT GROUP_CONCAT(id) FROM outbox PARTITION ("+partition+")"); id != day(n) {
				t.Errorf("%s holds %s, want %s", partition, id, day(n))
			}
		}
		if n := w.query(t, "SELECT CONCAT(COUNT(*), ' ', (SELECT COUNT(*) FROM outbox PARTITION (pmax))) FROM outbox"); n != "9 1" {
			t.Errorf("rows, and of them in the catch-all: %s", n)
		}
		w.want(t, 0, []string{"exists"}, "schema", "up")
	})
}

// TestUpAtOnce: the replicas of a service that all migrate when they start.
func TestUpAtOnce(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		atOnce := func(args ...string) {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if r := w.binjet(t, args...); r.code != 0 {
						t.Errorf("%s: %s", args, r)
					}
				})
			}
			wg.Wait()
		}
		atOnce("schema", "up", "--variant=partitioned")
		shorten(t, w, "outbox", 2)
		atOnce("schema", "up")
		if faults := w.validate(t); len(faults) > 0 {
			t.Error(faults)
		}
	})
}

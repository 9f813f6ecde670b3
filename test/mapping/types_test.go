package mapping

import (
	"fmt"
	"strings"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
)

// TestTypesBothWays: every type that can become a header is written in the same way
// whether a row comes from a snapshot or from the binlog.
func TestTypesBothWays(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.exec(t, `CREATE TABLE outbox (
			id VARCHAR(64) CHARACTER SET ascii PRIMARY KEY, payload JSON,
			tiny TINYINT, utiny TINYINT UNSIGNED, medium MEDIUMINT, umedium MEDIUMINT UNSIGNED, big BIGINT, ubig BIGINT UNSIGNED ZEROFILL,
			dec_ DECIMAL(20,4), zero_ DECIMAL(10,2) UNSIGNED ZEROFILL, f FLOAT, d DOUBLE, y YEAR, bit1 BIT(1), bit64 BIT(64),
			date_ DATE, dt0 DATETIME, dt6 DATETIME(6), ts0 TIMESTAMP NULL, ts3 TIMESTAMP(3) NULL, time0 TIME, time6 TIME(6),
			e ENUM('a','bé','c,d') CHARACTER SET utf8mb4, s SET('x','yé','z') CHARACTER SET utf8mb4,
			ch CHAR(10) CHARACTER SET utf8mb4, vc VARCHAR(100) CHARACTER SET ascii, txt TEXT CHARACTER SET utf8mb4, vb VARBINARY(20),
			u BINARY(16), j JSON, nul INT) ENGINE=InnoDB`)
		w.exec(t, `SET time_zone='+00:00'`)
		w.exec(t, `INSERT INTO outbox VALUES ('1', '{"b": [1, 1.5, 1234567.5, 0.00001234, 1e20, 1.0, -0.5e-7], "aa": "<é&\\u2028\\n\\"\\\\>", "n": null}',
			-128, 255, -8388608, 16777215, -9223372036854775808, 18446744073709551615,
			-1234567890123456.7800, 7.5, 1.1, 1e-7, 2026, b'1', b'1000000000000000000000000000000000000000000000000000000000000001',
			'2026-01-02', '2026-01-02 03:04:05', '2026-01-02 03:04:05.000006', '2026-01-02 03:04:05', '2026-01-02 03:04:05.678', '-12:34:56', '838:59:58.000001',
			'bé', 'x,z', 'ch', 'plain', 'köln', 'bytes', UNHEX('0192F1A0000070008000000000000000'), '{"k": [true, 2.50]}', NULL)`)
		w.exec(t, `INSERT INTO outbox (id, payload, tiny, f, d, y, bit1, time0, e, s, dec_) VALUES ('2', '"x"', 0, 16777216, 1e15, 0, b'0', '00:00:00', 'a', '', 0.0001)`)
		mapped := func(c *binlog.Config) {
			c.Columns = binlog.Columns{Headers: binlog.NoColumn, CreatedAt: binlog.NoColumn}
			c.Route = binlog.Route{Topic: "t.${tiny}", Key: "${e}-$$"}
			c.Headers = []string{"tiny", "utiny", "medium", "umedium", "big", "ubig", "dec_:dec", "zero_:zero", "f", "d", "y", "bit1", "bit64", "date_:date",
				"dt0", "dt6", "ts0", "ts3", "time0", "time6", "e", "s", "ch", "vc", "txt", "vb", "u", "j", "nul", "missing?"}
		}
		j, payload := `{"k":[true,2.5]}`, "{\"b\":[1,1.5,1234567.5,0.00001234,1e20,1.0,-5e-8],\"n\":null,\"aa\":\"<é&\u2028\\n\\\"\\\\>\"}"
		if w.mariaDB() { // whose JSON is the text that was inserted
			j, payload = `{"k": [true, 2.50]}`, `{"b": [1, 1.5, 1234567.5, 0.00001234, 1e20, 1.0, -0.5e-7], "aa": "<é&\u2028\n\"\\>", "n": null}`
		}
		first := "1 t.-128 key=\"bé-$\" type=\"\"\n" + headers("big", "-9223372036854775808", "bit1", "1", "bit64", "9223372036854775809", "ch", "ch", "d", "1e-7",
			"date", "2026-01-02", "dec", "-1234567890123456.7800", "dt0", "2026-01-02T03:04:05.000000", "dt6", "2026-01-02T03:04:05.000006", "e", "bé", "f", "1.1",
			"j", j, "medium", "-8388608", "s", "x,z", "time0", "-12:34:56.000000", "time6", "838:59:58.000001", "tiny", "-128", "ts0", "2026-01-02T03:04:05.000000Z",
			"ts3", "2026-01-02T03:04:05.678000Z", "txt", "köln", "u", "0192f1a0-0000-7000-8000-000000000000", "ubig", "18446744073709551615", "umedium", "16777215",
			"utiny", "255", "vb", "bytes", "vc", "plain", "y", "2026", "zero", "7.50") + "  " + payload + "\n"
		second := "2 t.0 key=\"a-$\" type=\"\"\n" + headers("bit1", "0", "d", "1e15", "dec", "0.0001", "e", "a", "f", "16777216", "s", "", "time0", "00:00:00.000000",
			"tiny", "0", "y", "0000") + "  \"x\"\n"
		for _, start := range []string{binlog.StartEarliest, binlog.StartSnapshot} {
			got, invalid := read(t, w.reader(t, start, mapped), 2)
			if len(invalid) > 0 || len(got) != 2 {
				t.Fatalf("%s: %d messages, invalid are %q", start, len(got), invalid)
			}
			for i, want := range []string{first, second} {
				if text := describe(&got[i]); text != want {
					t.Errorf("%s: got\n%swant\n%s", start, text, want)
				}
			}
		}
	})
}

// headers are lines as describe writes them.
func headers(pairs ...string) (text string) {
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf("  %s: [%q]\n", pairs[i], pairs[i+1])
	}
	return text
}

// TestUUIDs: BINARY(16) in both orders and MariaDB's UUID become the text that was
// inserted, by the binlog and by a snapshot that is cut within a table and taken up
// again, while rows come and go.
func TestUUIDs(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		const rows = 1100 // three pages
		for name, tt := range map[string]struct{ column, insert, order string }{
			"binary":  {"BINARY(16)", "UNHEX(REPLACE('%s','-',''))", binlog.UUIDStandard},
			"swapped": {"BINARY(16)", swappedSQL, binlog.UUIDSwapped},
			"native":  {"UUID", "'%s'", binlog.UUIDStandard},
		} {
			if name == "native" && !w.can(t, "DO CAST(UUID() AS UUID)") {
				continue // no type of MySQL's, nor of a MariaDB before 10.7
			}
			table := "o_" + name
			w.exec(t, "CREATE TABLE "+table+" (id "+tt.column+" PRIMARY KEY, topic VARCHAR(255) CHARACTER SET ascii, payload BLOB) ENGINE=InnoDB")
			insert := func(from, to int) {
				var list []string
				for i := from; i < to; i++ {
					list = append(list, "("+strings.ReplaceAll(tt.insert, "%s", uuidOf(i))+",'t','x')")
				}
				w.exec(t, "INSERT INTO "+table+" VALUES "+strings.Join(list, ","))
			}
			change := func(c *binlog.Config) {
				c.Tables, c.BinaryUUID = []string{table}, tt.order
				c.Columns = binlog.Columns{Key: binlog.NoColumn, Headers: binlog.NoColumn, CreatedAt: binlog.NoColumn}
			}
			latest, err := w.reader(t, binlog.StartLatest, change).Begin(t.Context())
			must(t, err)
			insert(0, rows)

			r := w.reader(t, binlog.StartSnapshot, change)
			at, err := r.Begin(t.Context())
			must(t, err)
			got, _ := readFrom(t, r, &at, 1)
			insert(rows, rows+100)
			rest, _ := readFrom(t, r, &at, rows+100-len(got))
			wantIDs(t, name+" by snapshots", append(got, rest...), rows+100)

			live, _ := readFrom(t, r, &latest, rows+100)
			wantIDs(t, name+" by the binlog", live, rows+100)
		}
	})
}

// swappedSQL is UUID_TO_BIN('%s', 1), which MariaDB does not have.
const swappedSQL = "UNHEX(CONCAT(SUBSTR('%s',15,4),SUBSTR('%s',10,4),SUBSTR('%s',1,8),SUBSTR('%s',20,4),SUBSTR('%s',25)))"

// uuidOf is a UUID of the versions 1, 4 and 7 by turns; some end in zeros, which
// BINARY loses in the binlog.
func uuidOf(i int) string {
	switch i % 3 {
	case 0:
		return fmt.Sprintf("%04x1234-5678-11ee-8a00-%012x", i, 0)
	case 1:
		return fmt.Sprintf("%04xabcd-1111-4222-b333-%012x", i, i)
	}
	return fmt.Sprintf("0192f1a0-%04x-7000-8000-%012x", i, i<<16)
}

func wantIDs(t *testing.T, what string, got []binjet.Message, n int) {
	t.Helper()
	want := make(map[string]bool)
	for i := range n {
		want[uuidOf(i)] = true
	}
	for i := range got {
		if !want[got[i].ID] {
			t.Fatalf("%s: %s is wrong, or came twice", what, got[i].ID)
		}
		delete(want, got[i].ID)
	}
	if len(want) > 0 {
		t.Errorf("%s: %d are missing", what, len(want))
	}
}

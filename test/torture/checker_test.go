package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
)

// talk is a dialogue in short: "> 7" a commit that expects 7, "! 7" an event by itself
// that does, "?" a read; "< 8" the acknowledgement of the last write, "< no" its refusal,
// "= 7" the answer to the last read.
func talk(lines string) error {
	d, n := newDialogue(), 0
	reply, read := "", ""
	for line := range strings.SplitSeq(lines, "\n") {
		n++
		verb, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		header := []byte("NATS/1.0\r\n" + expectation + ": " + value + "\r\n\r\n")
		switch verb {
		case ">", "!", "lock":
			reply = fmt.Sprint("write.", n)
			subject := map[string]string{">": checkpointSubject, "!": "outbox.orders", "lock": "$KV.binjet-checkpoints.lock.OUTBOX"}[verb]
			d.sent(message{subject: subject, reply: reply, header: header})
		case "?":
			read = fmt.Sprint("read.", n)
			d.sent(message{subject: readSubject, reply: read, body: []byte(`{"last_by_subj":"` + checkpointSubject + `"}`)})
		case "<":
			body := `{"stream":"OUTBOX","seq":` + value + `}`
			if value == "no" {
				body = `{"error":{"code":400,"err_code":10164}}`
			}
			d.received(message{subject: reply, body: []byte(body)})
		case "=":
			d.received(message{subject: read, body: []byte(`{"message":{"seq":` + value + `}}`)})
		}
	}
	return d.broken
}

// TestWireIsChecked: what I6 forbids is seen in what a streamer sends.
func TestWireIsChecked(t *testing.T) {
	const led = "?\n= 5\n> 5\n< 8\n"
	for _, c := range []struct{ what, talk, broken string }{
		{"commits one after the other", led + "> 8\n< 9\n> 9", ""},
		{"a refusal is read back", led + "> 8\n< no\n?\n= 8\n> 8", ""},
		{"a lost answer is read back", led + "> 8\n?\n= 9\n> 9", ""},
		{"an event is fenced by a commit", led + "! 8\n> 8\n< 11\n! 11", ""},
		{"a lock on the stream's configuration", led + "lock 0\n> 8", ""},
		{"nothing was ever read", "> 5", `expects sequence "5"`},
		{"a guessed sequence", led + "> 9", `expects sequence "9"`},
		{"no expectation", led + "> ", `expects sequence ""`},
		{"two at once", led + "> 8\n> 8", "neither acknowledged nor read back"},
		{"a refusal is believed", led + "> 8\n< no\n> 8", "neither acknowledged nor read back"},
		{"a read of before says nothing", led + "?\n> 8\n= 8\n> 8", "neither acknowledged nor read back"},
		{"an event beside a commit", led + "> 8\n! 8", "neither acknowledged nor settled"},
		{"an event is settled by a read", led + "! 8\n?\n= 8\n! 8", "neither acknowledged nor settled"},
	} {
		t.Run(c.what, func(t *testing.T) { wantBroken(t, talk(c.talk), c.broken) })
	}
}

func wantBroken(t *testing.T, err error, part string) {
	t.Helper()
	if (err == nil) != (part == "") || err != nil && !strings.Contains(err.Error(), part) {
		t.Errorf("found %v, want %q", err, part)
	}
}

// TestSentAgain: what I7 forbids is seen, on whichever connection it is.
func TestSentAgain(t *testing.T) {
	w := newWire()
	say := func(header, body string) error {
		d := newDialogue()
		d.events = w.sent
		d.sent(message{subject: "outbox.0.orders", header: []byte("NATS/1.0\r\n" + header + "\r\n\r\n"), body: []byte(body)})
		return d.broken
	}
	for _, c := range []struct{ header, body, broken string }{
		{"Outbox-Id: a\r\nNats-Batch-Id: 1", "x", ""},
		{"Nats-Batch-Id: 2\r\nOutbox-Id: a", "x", ""},
		{"Outbox-Id: a", "y", "I7: event a"},
		{"Outbox-Id: a\r\nOutbox-Tx-Index: 2/2", "x", "I7: event a"},
		{"Outbox-Id: b", "y", ""},
	} {
		wantBroken(t, say(c.header, c.body), c.broken)
	}
}

// TestBoundsAreChecked is I10.
func TestBoundsAreChecked(t *testing.T) {
	for _, c := range []struct {
		observed
		broken string
	}{
		{observed{goroutines: 50, memory: 80 << 20}, ""},
		{observed{goroutines: 201, memory: 80 << 20}, "I10: a streamer had 201 goroutines"},
		{observed{goroutines: 50, memory: 300 << 20}, "I10: a streamer took 300 MiB"},
		{observed{}, "no streamer ever said"},
	} {
		wantBroken(t, c.bounded(), c.broken)
	}
}

// TestWirePassesEverythingOn: byte for byte, and it reads what it is to look at.
func TestWirePassesEverythingOn(t *testing.T) {
	text := "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a.b r 3\r\nx\r\n\r\nHPUB c 21 23\r\nNATS/1.0\r\nA: some\r\n\r\nhi\r\nMSG a 9 2\r\nno\r\nPING\r\n"
	var out bytes.Buffer
	var seen []string
	_ = copyMessages(strings.NewReader(text), &out, func(m message) {
		seen = append(seen, fmt.Sprintf("%s %s %s %s", m.subject, m.reply, headerValue(m.header, "A"), m.body))
	})
	if out.String() != text {
		t.Errorf("passed on %q", out.String())
	}
	if got := fmt.Sprint(seen); got != "[a.b r  x\r\n c  some hi a   no]" {
		t.Errorf("seen %s", got)
	}
	w := newWire()
	defer w.close()
	addr, err := w.tap("127.0.0.1:1")
	must(t, err)
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("there is an answer of nobody")
	}
	if w.holds() == nil {
		t.Error("nothing was seen, and that is well")
	}
}

// good is a small run that keeps every promise: three transactions, one of them XA, the
// last of them larger than a batch and half published at the second checkpoint.
type good struct {
	text        string // of the binlog
	events      []event
	checkpoints []checkpoint
	effects     []effect
	history     []record
	written     map[string]content
}

func newGood() *good {
	const u = "a0000000-0000-0000-0000-000000000001"
	row := func(id string) string { return "### INSERT INTO `shop`.`outbox`\n### SET\n###   @1='" + id + "'\n" }
	gtid := func(n int) string { return fmt.Sprintf("SET @@SESSION.GTID_NEXT= '%s:%d'/*!*/;\nBEGIN\n", u, n) }
	g := &good{written: map[string]content{}, text: gtid(1) + row("1.1.1") + row("1.1.2") + "COMMIT/*!*/;\n" +
		gtid(2) + "XA START X'31',X'',1\n" + row("2.1.1") + "XA END X'31',X'',1\nXA PREPARE X'31',X'',1\n" +
		gtid(3) + row("1.2.1") + "ROLLBACK\n" + // as after a table without transactions
		gtid(4) + "XA COMMIT X'31',X'',1\n" +
		gtid(5) + row("1.3.1") + row("1.3.2") + "COMMIT\n",
		history: []record{{Kept: []string{"1.1.1", "1.1.2"}, Outcome: committed}, {Kept: []string{"2.1.1"}, Outcome: unknown},
			{Dropped: []string{"1.2.1"}, Outcome: failed}, {Kept: []string{"1.3.1", "1.3.2"}, Outcome: committed}},
	}
	for i, e := range []event{{1, "1.1.1", "a", "1", "1/2", 1}, {2, "1.1.2", "b", "1", "2/2", 2}, {4, "2.1.1", "a", "4", "1/1", 3}, {5, "1.3.1", "a", "5", "1/", 4}, {7, "1.3.2", "b", "5", "2/", 5}} {
		g.written[e.id] = e.content
		g.events = append(g.events, e)
		g.effects = append(g.effects, effect{e.id, e.key, g.events[i].seq})
	}
	for _, c := range []string{
		`{"epoch":1,"count":2,"resume":"U:1-2","xa":[{"gtid":"U:2"}]}`,
		`{"epoch":2,"count":4,"resume":"U:1-4","partial":{"gtid":"U:5","rows":1}}`,
		`{"epoch":2,"count":4,"resume":"U:1-4","partial":{"gtid":"U:5","rows":1},"from":6}`,
		`{"epoch":2,"count":5,"resume":"U:1-5"}`,
	} {
		n := len(g.checkpoints)
		k := checkpoint{seq: []uint64{3, 6, 8, 9}[n]}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(c, "U", u)), &k); err != nil {
			panic(err)
		}
		g.checkpoints = append(g.checkpoints, k)
	}
	return g
}

func (g *good) check() error {
	p := newPrinted()
	for line := range strings.SplitSeq(g.text, "\n") {
		if err := p.line(line); err != nil {
			return err
		}
	}
	for _, err := range []error{outcomesHold(g.history, p.committed), same(g.events, p.committed), contentsHold(g.events, g.written), wholeTransactions(g.events),
		checkpointsHold(g.checkpoints, g.events), positionsHold(g.checkpoints, p.groups, g.events), effectsOnce(g.effects, g.events)} {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestCheckerFinds: whatever of a good run is broken is found, and by its name.
func TestCheckerFinds(t *testing.T) {
	resume := func(i int, from, to string) func(*good) {
		return func(g *good) { g.checkpoints[i].Resume = strings.Replace(g.checkpoints[i].Resume, from, to, 1) }
	}
	for _, c := range []struct {
		what   string
		do     func(*good)
		broken string
	}{
		{"nothing", func(*good) {}, ""},
		{"an event is missing at the end", func(g *good) { g.events = g.events[:4] }, "I1: 1 events are missing"},
		{"an event is missing in between", func(g *good) { g.events = append(g.events[:1:1], g.events[2:]...) }, "is event 2 of the stream and 3 of the binlog"},
		{"an event is there twice", func(g *good) { g.events[1] = g.events[0] }, "I1: 1.1.1 at 1 (1/2 of 1) is there a second time"},
		{"a row of a rollback is published", func(g *good) { g.events[1].id = "1.2.1" }, "I5: 1.2.1"},
		{"a payload is another one", func(g *good) { g.events[1].content++ }, "I1: 1.1.2 at 2 (2/2 of 1) is not what was written"},
		{"a transaction is in two parts", func(g *good) { g.events[2].tx = "1"; g.events[1].tx = "4" }, "I2: "},
		{"a transaction is numbered wrongly", func(g *good) { g.events[1].txIndex = "3/2" }, "I2: "},
		{"a checkpoint counts too many", func(g *good) { g.checkpoints[0].Count++ }, "I2: "},
		{"an epoch goes back", func(g *good) { g.checkpoints[3].Epoch = 1 }, "I3: "},
		{"a commit was acknowledged, and is not there", func(g *good) {
			g.history[2].Outcome, g.history[2].Kept = committed, g.history[2].Dropped
			g.history[2].Dropped = nil
		}, "is committed for its writer"},
		{"a commit failed, and is there", func(g *good) { g.history[0].Outcome = failed }, "is failed for its writer"},
		{"half of a transaction is there", func(g *good) { g.history[0].Kept = append(g.history[0].Kept, "1.1.3") }, "2 of 3 events"},
		{"the resume set is ahead", resume(0, "1-2", "1-5"), "I4: "},
		{"the resume set is behind", resume(3, "1-5", "1-4"), "I4: "},
		{"the resume set has a hole", resume(1, "1-4", "1-3"), "I4: "},
		{"the resume set holds what was never read", resume(3, "1-5", "1-6"), "which the binlog never had"},
		{"an undecided transaction is forgotten", func(g *good) { g.checkpoints[0].XA = nil }, "undecided then and not named"},
		{"a part is forgotten", func(g *good) { g.checkpoints[1].Partial = nil }, "I4: "},
		{"an effect is missing", func(g *good) { g.effects = g.effects[1:] }, "has 0 effects"},
		{"an effect is there twice", func(g *good) { g.effects = append(g.effects, effect{"1.1.1", "c", 1}) }, "has 2 effects"},
		{"effects of a key are out of order", func(g *good) { g.effects[0], g.effects[2] = g.effects[2], g.effects[0] }, "came after that of sequence"},
		{"an effect is of no event", func(g *good) { g.effects = append(g.effects, effect{"9.9.9", "c", 99}) }, "of no event"},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := newGood()
			c.do(g)
			wantBroken(t, g.check(), c.broken)
		})
	}
}

// TestGTIDSets: as both servers write them.
func TestGTIDSets(t *testing.T) {
	set, err := parseGTIDs("0-1-7,3-2-9,\na-b:1-3:5:tag:2-4, c-d:8")
	must(t, err)
	for gtid, want := range map[string]bool{"0-5-7": true, "0-1-8": false, "3-1-1": true, "4-1-1": false, "a-b:3": true, "a-b:4": false, "a-b:5": true,
		"a-b:2": true, "a-b:tag:4": true, "a-b:tag:1": false, "c-d:8": true, "c-d:tag:8": false} {
		name, n, err := split(gtid)
		if err != nil || set.has(name, n) != want {
			t.Errorf("%s: %v, %v", gtid, !want, err)
		}
	}
	for _, bad := range []string{"0-1", "a-b:1-x", "0-1-x"} {
		if got, err := parseGTIDs(bad); err == nil {
			t.Errorf("%s is read as %v", bad, got)
		}
	}
}

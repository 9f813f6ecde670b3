package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/internal/deadletter"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/relay"
)

// world is a page on a real broker.
type world struct {
	t     *testing.T
	js    jetstream.JetStream
	page  *Dashboard
	serve http.Handler
	relay *fakeRelay
	log   bytes.Buffer
}

// newWorld has a stream S with the subjects p.> and other.
func newWorld(t *testing.T, metadata map[string]string) *world {
	t.Helper()
	w := &world{t: t, relay: &fakeRelay{status: relay.Status{Role: relay.Leader, Seq: 1, Leader: "me"},
		report: admin.Report{Ready: true, Role: relay.Leader, Leader: "me", Checkpoint: &admin.CheckpointReport{Seq: 1, Count: 1234}}}}
	nc := natstest.Start(t).Connect(t)
	w.js, _ = jetstream.New(nc)
	w.must(w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"p.>", "other"}, Metadata: metadata, AllowDirect: true}))
	guard := admin.NewGuard("127.0.0.1:0", nil, false)
	page, err := New(Config{Relay: w.relay, History: NewHistory(w.relay), Gate: guard, Log: slog.New(slog.NewJSONHandler(&w.log, nil)),
		Source: "shop", Stream: "S", Prefix: "p", Version: "v9"})
	w.must(nil, err)
	w.must(nil, page.Attach(nc))
	w.page, w.serve = page, guard.Protect(page.Handler())
	return w
}

func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// publish stores an event of a topic.
func (w *world) publish(topic, id, payload string) {
	w.t.Helper()
	m := nats.NewMsg("p." + topic)
	m.Header.Set(binjet.HeaderID, id)
	m.Header.Set(binjet.HeaderTopic, topic)
	m.Header.Set(binjet.HeaderContentType, "application/json")
	m.Data = []byte(payload)
	w.must(w.js.PublishMsg(w.t.Context(), m))
}

// noise are checkpoints, say: sequences that are not events.
func (w *world) noise(n int) {
	w.t.Helper()
	for range n {
		_, err := w.js.PublishAsync("other", nil)
		w.must(nil, err)
	}
	<-w.js.PublishAsyncComplete()
}

// die stores a dead letter of the consumer, and makes it able to read replays.
func (w *world) die(by, topic, id, reason string) {
	w.t.Helper()
	_, err := deadletter.Ensure(w.t.Context(), w.js, "S", 1)
	w.must(nil, err)
	m := nats.NewMsg(deadletter.Subject("S", by, topic))
	for name, value := range map[string]string{binjet.HeaderID: id, binjet.HeaderTopic: topic, binjet.HeaderDeadReason: reason, binjet.HeaderDeadConsumer: by,
		binjet.HeaderDeadAttempts: "3", binjet.HeaderOriginSubject: "p." + topic, binjet.HeaderOriginSequence: "1"} {
		m.Header.Set(name, value)
	}
	m.Data = []byte(`{"amount":7}`)
	if by == "shop" { // the source: a row that was quarantined
		m.Header.Del(binjet.HeaderOriginSequence)
	}
	w.must(w.js.PublishMsg(w.t.Context(), m))
	w.must(w.js.CreateOrUpdateConsumer(w.t.Context(), "S_DLQ", jetstream.ConsumerConfig{Durable: "replay-" + by, FilterSubject: deadletter.ReplaySubject("S", by, ">")}))
}

// get asks for a page, which has to be whole HTML.
func (w *world) get(path string) (int, string) {
	w.t.Helper()
	return w.answer(httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
}

func (w *world) answer(r *http.Request) (int, string) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.serve.ServeHTTP(rec, r)
	body := rec.Body.String()
	if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") && rec.Code != http.StatusSeeOther && (!strings.HasSuffix(strings.TrimSpace(body), "</html>") || strings.Contains(body, "ZgotmplZ")) {
		w.t.Errorf("%s is no whole page:\n%s", r.URL, body)
	}
	return rec.Code, body
}

// wants is get of a page that has all of the texts.
func (w *world) wants(path string, code int, texts ...string) string {
	w.t.Helper()
	got, body := w.get(path)
	if got != code {
		w.t.Errorf("%s: %d, want %d:\n%s", path, got, code, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			w.t.Errorf("%s has no %q:\n%s", path, text, body)
		}
	}
	return body
}

func ids(list []message) (s []string) {
	for _, m := range list {
		s = append(s, m.ID)
	}
	return s
}

// TestRecent: the last messages are found however the stream is mixed, and page by
// page each comes once.
func TestRecent(t *testing.T) {
	w := newWorld(t, nil)
	if list, err := w.page.broker().recent(t.Context(), "", 0, 5); err != nil || len(list) != 0 {
		t.Errorf("an empty stream: %v, %v", ids(list), err)
	}
	for i := range 23 {
		w.publish("a.x", fmt.Sprint("a", i), "{}")
	}
	w.noise(2000)
	w.publish("b.x", "b0", "{}")
	w.noise(3)
	recent := func(topic string, before uint64, n int, want ...string) (oldest uint64) {
		t.Helper()
		list, err := w.page.broker().recent(t.Context(), topic, before, n)
		if err != nil || fmt.Sprint(ids(list)) != fmt.Sprint(want) {
			t.Errorf("%q before %d: %v, want %v (%v)", topic, before, ids(list), want, err)
		}
		if len(list) == 0 {
			return 0
		}
		return list[len(list)-1].Seq
	}
	next := recent("", 0, 3, "b0", "a22", "a21")
	next = recent("", next, 3, "a20", "a19", "a18")
	recent("", next, 1, "a17")
	recent("b.*", 0, 3, "b0")
	recent("a.x", 3, 5, "a1", "a0")
	recent("a.x", 1, 5)
	for i := 22; i >= 0; i -= 5 {
		list, err := w.page.broker().recent(t.Context(), "a.>", uint64(i+2), 1)
		if err != nil || len(list) != 1 || list[0].ID != fmt.Sprint("a", i) || list[0].Bytes != 2 {
			t.Errorf("before %d: %+v, %v", i+2, list, err)
		}
	}
	if _, err := w.page.broker().recent(t.Context(), "a b", 0, 1); err == nil {
		t.Error("nonsense is a topic")
	}
	left := 0
	s, err := w.js.Stream(t.Context(), "S")
	w.must(nil, err)
	for range s.ListConsumers(t.Context()).Info() {
		left++
	}
	if left != 0 {
		t.Errorf("%d consumers are left on the stream", left)
	}
}

func TestRecentWithPartitions(t *testing.T) {
	w := newWorld(t, map[string]string{binjet.MetadataPartitions: "4"})
	w.publish("0.a.x", "one", "{}")
	w.publish("3.a.x", "two", "{}")
	if list, err := w.page.broker().recent(t.Context(), "a.x", 0, 5); err != nil || fmt.Sprint(ids(list)) != "[two one]" {
		t.Errorf("%v, %v", ids(list), err)
	}
}

// TestSearch: the newest first, page by page, each once, whatever lies between.
func TestSearch(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 130 {
		w.die([]string{"billing", "shipping"}[i%2], "a.x", fmt.Sprint("id", i), fmt.Sprint("Reason ", i%5))
	}
	s, err := w.js.Stream(t.Context(), "S_DLQ")
	w.must(nil, err)
	for seq := uint64(20); seq < 90; seq++ {
		w.must(nil, s.DeleteMsg(t.Context(), seq))
	}
	for name, test := range map[string]struct {
		filter deadFilter
		want   int
	}{
		"all":       {deadFilter{}, 60},
		"by":        {deadFilter{By: "billing"}, 30},
		"reason":    {deadFilter{Text: "reason 3"}, 12},
		"ID":        {deadFilter{Text: "ID129"}, 1},
		"topic":     {deadFilter{Topic: "a.*"}, 60},
		"none":      {deadFilter{Topic: "b.*"}, 0},
		"two of it": {deadFilter{By: "shipping", Text: "Reason 1"}, 6},
	} {
		last, found := uint64(131), 0
		for test.filter.PerPage, test.filter.MaxScanned = 7, 20; ; {
			page, err := w.page.broker().search(t.Context(), test.filter)
			w.must(nil, err)
			for _, l := range page.Letters {
				if l.Sequence >= last {
					t.Errorf("%s: %d behind %d", name, l.Sequence, last)
				}
				last = l.Sequence
				found++
			}
			if test.filter.Before = page.Older; page.Older == 0 {
				break
			}
		}
		if found != test.want {
			t.Errorf("%s: %d, want %d", name, found, test.want)
		}
	}
}

// TestPages: each page says what there is, and nothing of anybody's becomes markup.
func TestPages(t *testing.T) {
	w := newWorld(t, nil)
	w.wants("/", 200, "No messages.", "No dead letters.", "No consumer", "1,234", "leader")
	w.wants("/dead-letters", 200, "None found.")
	w.wants("/dead-letters/1", 404, "There is no dead letter 1")
	w.publish("orders.created", "<script>alert(1)</script>", `{"name":"<img src=x>"}`)
	w.die("billing", "orders.created", "<b>id</b>", "no <i>card</i>")
	w.die("shop", "orders.paid", "row", "too large")
	w.must(w.js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "p.orders.>"}))
	w.page.dead.forget()
	w.page.consumers.forget()
	w.page.messages.forget()
	pages := w.wants("/", 200, "&lt;script&gt;", "/messages/1", `/dead-letters?by=billing`, "<strong>2</strong> dead letters", "1 of them quarantined")
	pages += w.wants("/messages", 200, "orders.created")
	pages += w.wants("/messages/1", 200, "&#34;name&#34;", "read as JSON", binjet.HeaderContentType)
	pages += w.wants("/dead-letters?text=CARD", 200, "no &lt;i&gt;card", "billing")
	pages += w.wants("/dead-letters/1", 200, "Given up by billing", "Replay…", "&#34;amount&#34;: 7")
	pages += w.wants("/dead-letters/2", 200, "Quarantined by the relay of shop", "can't be replayed")
	for _, bad := range []string{"<script>alert", "<img src=x", "<b>id", "<i>card", "style=\"", "onclick"} {
		if strings.Contains(pages, bad) {
			t.Errorf("a page has %s", bad)
		}
	}
	w.wants("/messages/99", 404, "no message 99")
	w.wants("/messages/x", 404, "no sequence")
	w.wants("/messages?seq=1", 303)
	w.wants("/nowhere", 404, "nothing at /nowhere")
	w.wants("/static/app.js", 200, "EventSource")
	w.wants("/login", 303)
}

// TestStarting: before there is a connection every page answers, and says so.
func TestStarting(t *testing.T) {
	w := newWorld(t, nil)
	w.page.stream, w.relay.status, w.relay.report = nil, relay.Status{}, admin.Report{Reasons: []string{"starting: nothing is known"}}
	for _, path := range []string{"/", "/messages", "/dead-letters"} {
		w.wants(path, 200, "the process is starting")
	}
	w.wants("/", 200, "starting: nothing is known")
	w.wants("/messages/1", 502, "the process is starting")
}

// confirm follows the page that asks, and returns the form that it has.
func (w *world) confirm(action string, seq ...string) url.Values {
	w.t.Helper()
	body := w.wants("/dead-letters/confirm?"+url.Values{"action": {action}, "seq": seq}.Encode(), 200, "Your name")
	form := url.Values{"who": {"Ann"}}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`).FindAllStringSubmatch(body, -1) {
		form.Add(m[1], m[2])
	}
	return form
}

func (w *world) act(form url.Values) (int, string) {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://localhost/dead-letters/act", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.answer(r)
}

func (w *world) deadCount() uint64 {
	w.t.Helper()
	counts, err := w.page.broker().deadLetters(w.t.Context(), "shop")
	w.must(nil, err)
	return counts.All
}

// TestAct: what is confirmed is done, by whom is logged, and nothing else does anything.
func TestAct(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 4 {
		w.die("billing", "orders.created", fmt.Sprint("id", i), "no card")
	}
	w.die("shop", "orders.paid", "row", "too large")

	form := w.confirm(actionReplay, "1", "2")
	for what, spoil := range map[string]func(url.Values){
		"no name":   func(f url.Values) { f.Set("who", " \n") },
		"no form":   func(f url.Values) { f.Del(admin.FormField) },
		"no action": func(f url.Values) { f.Set("action", "publish") },
		"no number": func(f url.Values) { f["seq"] = []string{"1", "x"} },
		"nothing":   func(f url.Values) { f.Del("seq") },
		"too many":  func(f url.Values) { f["seq"] = make([]string, maxActed+1) },
	} {
		spoiled := url.Values{}
		for name, values := range form {
			spoiled[name] = values
		}
		spoil(spoiled)
		if code, body := w.act(spoiled); code != 400 && code != 403 || w.deadCount() != 5 || w.log.Len() > 0 {
			t.Errorf("%s: %d, %d dead letters left, log %s\n%s", what, code, w.deadCount(), w.log.String(), body)
		}
	}

	if code, body := w.act(form); code != 200 || !strings.Contains(body, "Replayed: 2") || w.deadCount() != 3 {
		t.Errorf("replay: %d, %d left\n%s", code, w.deadCount(), body)
	}
	if line := w.log.String(); !strings.Contains(line, `"who":"Ann"`) || !strings.Contains(line, `"done":[1,2]`) || !strings.Contains(line, `"action":"replay"`) || !strings.Contains(line, `"remote":"`) {
		t.Errorf("the log says %s", line)
	}
	if code, body := w.act(form); code != 200 || !strings.Contains(body, "Replayed: 0, failed: 2") || !strings.Contains(body, "no such dead letter") {
		t.Errorf("the same again: %d\n%s", code, body)
	}
	counts, err := w.page.broker().deadLetters(t.Context(), "shop")
	if err != nil || counts.replays["billing"] != 2 || counts.Rows != 1 {
		t.Errorf("%+v, %v", counts, err)
	}
	w.wants("/dead-letters/confirm?action=replay&seq=5&seq=1", 200, "left as they are", "quarantined this row", "no such dead letter")
	if code, body := w.act(w.confirm(actionDrop, "3", "5")); code != 200 || !strings.Contains(body, "Dropped: 2") || w.deadCount() != 1 {
		t.Errorf("drop: %d, %d left\n%s", code, w.deadCount(), body)
	}
}

// viewer reads live updates.
type viewer struct {
	t      *testing.T
	events *bufio.Reader
}

func (w *world) view(of string) *viewer {
	w.t.Helper()
	server := httptest.NewServer(w.serve)
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(func() { cancel(); server.Close() })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/live?of="+of, nil)
	w.must(nil, err)
	res, err := server.Client().Do(req)
	w.must(nil, err)
	w.t.Cleanup(func() { _ = res.Body.Close() })
	if res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Error(res.Header)
	}
	return &viewer{w.t, bufio.NewReader(res.Body)}
}

// until reads on until all the texts have come.
func (v *viewer) until(texts ...string) (seen string) {
	v.t.Helper()
	for slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(seen, text) }) {
		line, err := v.events.ReadString('\n')
		if err != nil {
			v.t.Fatalf("%v behind %s", err, seen)
		}
		seen += line
	}
	return seen
}

// TestLive: a viewer gets all that it asked for at first, then what changes; the end
// of the server ends it.
func TestLive(t *testing.T) {
	w := newWorld(t, nil)
	v := w.view("status,recent,nothing")
	if first := v.until("event: status\n", "event: recent\n", "No messages."); strings.Contains(first, "event: charts") {
		t.Errorf("at first %s", first)
	}
	w.publish("orders.created", "later", "{}")
	if second := v.until("later"); strings.Contains(second, "event: status") {
		t.Errorf("what has not changed is sent again: %s", second)
	}
}

// TestLiveWhileOneWaits: what takes long, such as asking a standby whose source hangs,
// holds up neither the rest of the page nor the page of somebody else.
func TestLiveWhileOneWaits(t *testing.T) {
	w := newWorld(t, nil)
	w.page.processes.asking.Lock()
	v := w.view("processes,recent")
	v.until("No messages.")
	w.publish("orders.created", "later", "{}")
	if seen := v.until("later"); strings.Contains(seen, "event: processes") {
		t.Errorf("nobody was asked, and there is %s", seen)
	}
	w.wants("/", 200, "being asked")
	w.page.processes.asking.Unlock()
	v.until("event: processes", "no relay answered")
}

func TestLiveIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	for range maxViewers {
		w.page.seats <- struct{}{}
	}
	if code, body := w.get("/live?of=status"); code != http.StatusServiceUnavailable || !strings.Contains(body, "next:") {
		t.Errorf("%d %s", code, body)
	}
}

// TestConsumers: as the broker sees them, and the dead letters beside them.
func TestConsumers(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 3 {
		w.publish("orders.created", fmt.Sprint(i), "{}")
	}
	w.must(w.js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "p.>"}))
	c, err := w.js.Consumer(t.Context(), "S", "billing")
	w.must(nil, err)
	batch, err := c.Fetch(2)
	w.must(nil, err)
	m := <-batch.Messages()
	w.must(nil, m.DoubleAck(t.Context()))
	w.die("billing", "orders.created", "id", "no card")
	rows, err := w.page.consumerRows(t.Context())
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	r := rows[0]
	if r.Name != "billing" || r.Pending != 1 || r.Unacked != 1 || r.AckFloor != 1 || r.Dead != 1 || r.LastActive.IsZero() || r.Topics[0] != "p.>" {
		t.Errorf("%+v", r)
	}
}

func TestNewChecks(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration is taken")
	}
}

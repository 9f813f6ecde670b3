package torture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// wire reads what the streamers and the broker say to each other, and holds it against
// I6 and I7. It sees what a streamer sees: it stands before the links in which things get lost.
type wire struct {
	mu      sync.Mutex
	taps    []net.Listener
	commits int
	alone   int                // events by themselves
	sent    map[string]content // events, by their IDs
	broken  error              // the first
}

func newWire() *wire { return &wire{sent: map[string]content{}} }

// tap listens for one process and passes everything on to addr.
func (w *wire) tap(addr string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	w.mu.Lock()
	w.taps = append(w.taps, l)
	w.mu.Unlock()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			go w.serve(client, addr)
		}
	}()
	return l.Addr().String(), nil
}

func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.taps {
		_ = l.Close()
	}
}

// serve passes one connection on, until either end closes it.
func (w *wire) serve(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	d := newDialogue()
	d.events = w.sent
	both := make(chan struct{}, 2)
	pass := func(from, to net.Conn, see func(message)) {
		_ = copyMessages(from, to, func(m message) {
			w.mu.Lock() // and not sent on before it is understood
			defer w.mu.Unlock()
			commits, alone := d.commits, d.alone
			see(m)
			w.commits, w.alone = w.commits+d.commits-commits, w.alone+d.alone-alone
			if w.broken == nil {
				w.broken = d.broken
			}
		})
		both <- struct{}{}
	}
	go pass(client, server, d.sent)
	go pass(server, client, d.received)
	<-both
	_, _ = client.Close(), server.Close()
	<-both
}

// seen are the commits with a checkpoint, and the events by themselves.
func (w *wire) seen() (commits, alone int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.commits - w.alone, w.alone
}

// holds is I6 and I7 for all connections.
func (w *wire) holds() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil && w.commits == 0 {
		return errors.New("no commit was ever seen on a wire")
	}
	return w.broken
}

// message is one of the NATS protocol that has a subject.
type message struct {
	subject, reply string
	header, body   []byte
}

// copyMessages passes on what it reads, and shows what it understands before.
func copyMessages(from io.Reader, to io.Writer, see func(message)) error {
	r, w := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	var payload []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		m, header, size, err := parseLine(string(line))
		if err != nil {
			return err
		}
		if _, err = w.Write(line); err != nil {
			return err
		}
		if size >= 0 {
			if cap(payload) < size+2 {
				payload = make([]byte, size+2)
			}
			payload = payload[:size+2]
			if _, err := io.ReadFull(r, payload); err != nil {
				return err
			}
			m.header, m.body = payload[:header], payload[header:size]
			see(m)
			if _, err := w.Write(payload); err != nil {
				return err
			}
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}

// parseLine reads PUB, HPUB, MSG and HMSG; of others the size is -1.
func parseLine(line string) (m message, header, size int, err error) {
	f := strings.Fields(line)
	if len(f) == 0 {
		return m, 0, -1, nil
	}
	verb, f := f[0], f[1:]
	numbers, names := 1, 1
	switch verb {
	case "PUB", "MSG":
	case "HPUB", "HMSG":
		numbers = 2
	default:
		return m, 0, -1, nil
	}
	if strings.HasSuffix(verb, "MSG") {
		names = 2 // there is a subscription's number, too
	}
	if len(f) < names+numbers || len(f) > names+numbers+1 {
		return m, 0, 0, fmt.Errorf("not a line of NATS: %q", line)
	}
	m.subject = f[0]
	if len(f) == names+numbers+1 {
		m.reply = f[names]
	}
	if size, err = strconv.Atoi(f[len(f)-1]); err == nil && numbers == 2 {
		header, err = strconv.Atoi(f[len(f)-2])
	}
	return m, header, size, err
}

// headerValue is that of a name in a NATS header, "" if it is not there.
func headerValue(header []byte, name string) string {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		if key, value, ok := bytes.Cut(line, []byte(":")); ok && string(key) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

const (
	checkpointSubject = "binjet.checkpoint.shop"
	readSubject       = "$JS.API.STREAM.MSG.GET.OUTBOX"
	expectation       = "Nats-Expected-Last-Subject-Sequence"
)

// dialogue is what one connection knows. A commit is what goes to the checkpoint's
// subject; an event by itself may be fenced by the same sequence.
type dialogue struct {
	commits     int                // and events by themselves
	alone       int                // those
	open        *message           // a commit, or an event by itself, of which nothing is known yet
	acked, read string             // the checkpoint's sequence, as it was last acknowledged and read; "" for never
	asked       map[string]int     // reads of the checkpoint by where they are answered: commits before them
	events      map[string]content // that were ever sent, by anybody
	broken      error
}

func newDialogue() *dialogue { return &dialogue{asked: map[string]int{}, events: map[string]content{}} }

// same is I7: an event that is sent again, by whoever it may be, is the one that it was.
func (d *dialogue) same(m message) {
	id := headerValue(m.header, "Outbox-Id")
	if id == "" || !strings.HasPrefix(m.subject, "outbox.") {
		return
	}
	var own [][]byte // without what the broker is told
	for line := range bytes.SplitSeq(m.header, []byte("\r\n")) {
		if !bytes.HasPrefix(line, []byte("Nats-")) {
			own = append(own, line)
		}
	}
	slices.SortFunc(own, bytes.Compare)
	now := contentOf(m.subject, "", "", map[string][]string{"": {string(bytes.Join(own, []byte("\n")))}}, m.body)
	if before, ok := d.events[id]; ok && before != now {
		d.breaksAs("I7", "event %s is another one than when it was sent before: %q", id, own)
	}
	d.events[id] = now
}

// sent looks at what the streamer says.
func (d *dialogue) sent(m message) {
	expects := headerValue(m.header, expectation)
	d.same(m)
	switch {
	case m.subject == readSubject && bytes.Contains(m.body, []byte(`"last_by_subj":"`+checkpointSubject+`"`)):
		d.asked[m.reply] = d.commits
		return
	case m.subject == checkpointSubject:
		// An event that was not answered is fenced by a commit, which settles both.
		if d.open != nil && d.open.subject == checkpointSubject {
			d.breaks("a commit is sent while another one (%s) is neither acknowledged nor read back", d.open.reply)
		}
	case expects != "" && !strings.HasPrefix(m.subject, "$KV."): // where a lock of the stream's configuration is
		if d.open != nil {
			d.breaks("event on %s is sent while another write (%s) is neither acknowledged nor settled", m.subject, d.open.reply)
		}
	default:
		return
	}
	if expects == "" || expects != d.acked && expects != d.read {
		d.breaks("a write on %s expects sequence %q; on this connection %q was acknowledged last and %q read", m.subject, expects, d.acked, d.read)
	}
	d.commits++
	if m.subject != checkpointSubject {
		d.alone++
	}
	d.open = &message{subject: m.subject, reply: m.reply}
}

// received looks at what the broker answers.
func (d *dialogue) received(m message) {
	var answer struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Code int `json:"err_code"`
		} `json:"error"`
		Message *struct {
			Seq uint64 `json:"seq"`
		} `json:"message"`
	}
	if d.open != nil && m.subject == d.open.reply {
		if json.Unmarshal(m.body, &answer) == nil && answer.Error == nil && answer.Seq > 0 {
			if d.open.subject == checkpointSubject {
				d.acked = strconv.FormatUint(answer.Seq, 10)
			}
			d.open = nil
		}
		return
	}
	before, ok := d.asked[m.subject]
	if !ok {
		return
	}
	delete(d.asked, m.subject)
	if before != d.commits || json.Unmarshal(m.body, &answer) != nil {
		return // it says nothing about what was sent since
	}
	const notFound = 10037
	switch {
	case answer.Message != nil:
		d.learn(answer.Message.Seq)
	case answer.Error != nil && answer.Error.Code == notFound:
		d.learn(0)
	}
}

// learn: what was read settles a commit that was sent before. An event by itself is
// settled by a commit only.
func (d *dialogue) learn(seq uint64) {
	if d.open != nil && d.open.subject == checkpointSubject {
		d.open, d.acked = nil, ""
	}
	d.read = strconv.FormatUint(seq, 10)
}

func (d *dialogue) breaks(format string, args ...any) { d.breaksAs("I6", format, args...) }

func (d *dialogue) breaksAs(invariant, format string, args ...any) {
	if d.broken == nil {
		d.broken = fmt.Errorf(invariant+": "+format, args...)
	}
}

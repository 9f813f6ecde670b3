// Package browser looks at the dashboard as people do: in a real Chromium, on a
// streamer, a database and a broker that are real too. It is a package of its own so
// that it runs beside the others.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/test/internal/testdb"
)

const patience = time.Minute

// binary builds the command without its dev command, once.
var binary = sync.OnceValues(func() (string, error) { return testdb.Build("binjet-nodev", "-tags", "nodev") })

func TestMain(m *testing.M) { os.Exit(testdb.Run(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a database and a broker.
type world struct {
	t   *testing.T
	db  *sql.DB
	dsn string
	url string
	js  jetstream.JetStream
	out *producer.Producer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	srv := testdb.New(t, dbserver.Options{})
	testdb.Create(t, srv, "shop")
	w := &world{t: t, dsn: srv.DSN("shop"), db: testdb.Open(t, srv.DSN("shop"))}
	broker := natstest.Start(t)
	w.url = broker.URL()
	var err error
	w.js, err = jetstream.New(broker.Connect(t))
	must(t, err)
	w.out, err = producer.New(producer.Config{})
	must(t, err)
	if out, err := w.command("init").CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	return w
}

func (w *world) command(args ...string) *exec.Cmd {
	path, err := binary()
	must(w.t, err)
	cmd := exec.Command(path, args...)
	cmd.Dir = w.t.TempDir()
	cmd.Env = []string{"HOME=" + os.Getenv("HOME"), "BINJET_SOURCE_DSN=" + w.dsn, "BINJET_NATS_URL=" + w.url,
		"BINJET_HTTP_LISTEN=127.0.0.1:0", "BINJET_RELAY_HEARTBEAT=200ms", "BINJET_LOG_FORMAT=json"}
	return cmd
}

func (w *world) exec(query string) {
	w.t.Helper()
	if _, err := w.db.ExecContext(w.t.Context(), query); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

// insert is what a service does.
func (w *world) insert(topic, key string) {
	w.t.Helper()
	must(w.t, producer.InTx(w.t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
		return w.out.Insert(ctx, tx, &binjet.Message{Topic: topic, Key: key, ContentType: "application/json", Payload: []byte(`{"total":42}`)})
	}))
}

// streamer is a running binjet run.
type streamer struct {
	url string
	mu  sync.Mutex
	log bytes.Buffer
}

func (s *streamer) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// start returns once its page is served. env is more of the environment.
func (w *world) start(env ...string) *streamer {
	w.t.Helper()
	s := &streamer{}
	cmd := w.command("run")
	cmd.Env = append(cmd.Env, env...)
	stderr, err := cmd.StderrPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	url, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.mu.Lock()
			fmt.Fprintln(&s.log, lines.Text())
			s.mu.Unlock()
			var line struct{ Message, URL string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && strings.HasPrefix(line.Message, "serving ") {
				url <- line.URL
			}
		}
		_ = cmd.Wait()
	}()
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if w.t.Failed() {
			w.t.Log(s.text())
		}
	})
	select {
	case s.url = <-url:
	case <-done:
		w.t.Fatalf("run ended:\n%s", s.text())
	}
	return s
}

// browser is a running Chromium.
type browser struct{ ctx context.Context }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	var complaint bytes.Buffer
	find := exec.Command("bash", "get-chromium.sh")
	find.Stderr = &complaint
	path, err := find.Output()
	if err != nil {
		t.Fatalf("no browser: %v\n%s", err, complaint.String())
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(strings.TrimSpace(string(path))), chromedp.WSURLReadTimeout(patience))
	if os.Geteuid() == 0 { // Chromium's sandbox does not work for root
		options = append(options, chromedp.NoSandbox)
	}
	alloc, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(end)
	must(t, chromedp.Run(ctx))
	return &browser{ctx}
}

// tab is one page of the browser, and everything that it complained about.
type tab struct {
	t     *testing.T
	ctx   context.Context
	mu    sync.Mutex
	wrong []string
	calm  bool // complaints are expected from now on
}

// open opens a tab of that width. What a page complains of fails the test, but for
// [tab.expectRefusals].
func (b *browser) open(t *testing.T, width int64) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(b.ctx)
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	x := &tab{t: t, ctx: limited}
	chromedp.ListenTarget(limited, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			x.complain("exception: " + e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				x.complain(fmt.Sprintf("console: %v", e.Args))
			}
		case *cdplog.EventEntryAdded: // also what the Content-Security-Policy forbids, and what is not found
			if e.Entry.Level == cdplog.LevelError || e.Entry.Level == cdplog.LevelWarning {
				x.complain("log: " + e.Entry.Text + " " + e.Entry.URL)
			}
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			x.shoot("failed")
		}
		cancel()
		end()
		for _, text := range x.complaints() {
			t.Errorf("the page complains: %s", text)
		}
	})
	x.run(cdplog.Enable(), emulation.SetDeviceMetricsOverride(width, 900, 1, width < 700))
	return x
}

func (x *tab) complain(text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.calm {
		x.wrong = append(x.wrong, text)
	}
}

// expectRefusals takes it as right that requests fail from now on: also the browser's
// own for an icon, which come when they like.
func (x *tab) expectRefusals() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calm = true
}

func (x *tab) complaints() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.wrong
}

func (x *tab) run(actions ...chromedp.Action) {
	x.t.Helper()
	if err := chromedp.Run(x.ctx, actions...); err != nil {
		x.t.Fatal(err)
	}
}

// eval evaluates an expression in the page.
func eval[T any](x *tab, expression string) (v T) {
	x.t.Helper()
	x.run(chromedp.Evaluate(expression, &v))
	return v
}

// until waits until an expression is true, over the loading of other pages too.
func (x *tab) until(expression string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var yes bool
		err := chromedp.Run(ctx, chromedp.Evaluate("Boolean("+expression+")", &yes))
		if yes && err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			x.t.Fatalf("never is %s: %v; the page says:\n%s", expression, err, eval[string](x, "document.body.innerText"))
		}
	}
}

// load opens a page, and waits until it is there whole. The page is asked: an event that
// says so can be missed on a slow machine.
func (x *tab) load(url string) {
	x.t.Helper()
	x.run(chromedp.ActionFunc(func(ctx context.Context) error {
		_, _, fault, _, err := page.Navigate(url).Do(ctx)
		if err == nil && fault != "" {
			err = errors.New(fault)
		}
		return err
	}))
	x.until("document.readyState === 'complete'")
}

// press clicks on the first element that a selector names and whose text begins so.
func (x *tab) press(selector, text string) {
	x.t.Helper()
	found := fmt.Sprintf("[...document.querySelectorAll(%q)].find(e => e.innerText.trim().startsWith(%q))", selector, text)
	x.until(fmt.Sprintf("(e => e && (e.click(), true))(%s)", found))
}

// reads waits for a text on the page.
func (x *tab) reads(text string) {
	x.t.Helper()
	x.until(fmt.Sprintf("document.body?.innerText.includes(%q)", text))
}

// shoot writes a screenshot of the whole page into the directory BINJET_TEST_SCREENSHOTS, if there is one.
func (x *tab) shoot(name string) {
	dir := os.Getenv("BINJET_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	if err := chromedp.Run(x.ctx, chromedp.FullScreenshot(&png, 100)); err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(x.t.Name(), "/", "_")+"_"+name+".png"), png, 0o644)
		if err != nil {
			x.t.Log(err)
		}
	}
}

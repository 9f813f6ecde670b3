package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/consumer"
)

// TestDashboard goes through the page as somebody on call does.
func TestDashboard(t *testing.T) {
	w := newWorld(t)
	leader := w.start()
	b := newBrowser(t)
	handled := w.consume()
	w.insert("orders.created", "first")

	t.Run("live", func(t *testing.T) { live(t, w, b, leader) })
	t.Run("standby", func(t *testing.T) { standby(t, w, b) })
	t.Run("refused", func(t *testing.T) { refused(t, w, b, leader) })
	t.Run("replay", func(t *testing.T) { replay(t, w, b, leader, handled) })
	t.Run("drop", func(t *testing.T) { drop(t, w, b, leader) })
	t.Run("token", func(t *testing.T) { token(t, w, b) })
	t.Run("everybody", func(t *testing.T) { everybody(t, w, b, leader) })
}

// consume runs a consumer that can't handle the key "broken" until it is mended, which
// happens with the first replay. It counts the messages of that key that it handled.
func (w *world) consume() *atomic.Int64 {
	w.t.Helper()
	handled := new(atomic.Int64)
	c, err := consumer.New(w.js, consumer.Config{Name: "billing"})
	must(w.t, err)
	c.Handle("orders.>", func(_ context.Context, m *consumer.Message) error {
		if m.Key == "broken" && m.Replayed == 0 {
			return consumer.Discard(errors.New("card_declined <b>by the issuer</b>"))
		}
		if m.Key == "broken" {
			handled.Add(1)
		}
		return nil
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Errorf("the consumer: %v", err)
		}
	})
	return handled
}

// live: the page comes whole, and what happens later comes by itself.
func live(t *testing.T, w *world, b *browser, s *streamer) {
	x := b.open(t, 1280)
	x.load(s.url + "/")
	x.reads("Leader")
	x.until("document.querySelector('#connection').textContent === 'live'")
	x.until("document.querySelectorAll('.charts svg path.line').length >= 2")
	w.insert("orders.paid", "key-that-comes-later")
	x.reads("key-that-comes-later")
	x.reads("billing")
	x.reads("binlog.0")
	x.press("#pause", "")
	x.until("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'")
	w.insert("orders.paid", "key-while-paused")
	x.press("#pause", "")
	x.reads("key-while-paused")
	x.shoot("overview")
	x.press("a", "orders.paid")
	x.reads(`"total": 42`)
	x.reads("Outbox-Tx-Index")
}

// standby: the page of a process that only stands by shows the same, and who stands by
// that could not take over.
func standby(t *testing.T, w *world, b *browser) {
	s := w.start()
	x := b.open(t, 1280)
	x.load(s.url + "/")
	x.reads("Standby")
	x.reads("key-that-comes-later")
	w.insert("orders.paid", "seen-from-a-standby")
	x.reads("seen-from-a-standby")
	const rows = "[...document.querySelectorAll('[data-live=processes] tbody tr')].map(r => r.innerText.replace(/\\s+/g, ' '))"
	x.until(rows + ".some(r => / leader .* leads/.test(r)) && " + rows + ".some(r => / standby .* yes/.test(r))")
	locked, err := mysql.ParseDSN(w.dsn)
	must(t, err)
	for _, query := range []string{"CREATE USER locked", "GRANT REPLICATION SLAVE ON *.* TO locked", "GRANT SELECT ON shop.outbox TO locked"} {
		w.exec(query)
	}
	locked.User, locked.Passwd = "locked", ""
	w.start("BINJET_SOURCE_DSN="+locked.FormatDSN(), "BINJET_RELAY_INSTANCE=locked-out")
	x.until(rows + ".some(r => /locked-out:\\S+ standby /.test(r))")
	w.exec("ALTER USER locked ACCOUNT LOCK")
	x.until(rows + ".some(r => /locked-out:\\S+ standby .* no: .*is locked.*next: ALTER USER/.test(r))")
	x.shoot("standby")
}

// deadLetter makes one, and returns its number once it is there.
func (w *world) deadLetter(t *testing.T) uint64 {
	t.Helper()
	w.insert("orders.created", "broken")
	deadline, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		if seqs := w.dead(t); len(seqs) > 0 {
			return seqs[len(seqs)-1]
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no dead letter")
		}
	}
}

func (w *world) dead(t *testing.T) (seqs []uint64) {
	t.Helper()
	letters, err := consumer.OpenDeadLetters(t.Context(), w.js, "")
	must(t, err)
	for letter, err := range letters.List(t.Context(), consumer.Filter{}) {
		must(t, err)
		seqs = append(seqs, letter.Sequence)
	}
	return seqs
}

// formToken is what our own page has in its forms.
func formToken(t *testing.T, s *streamer, seq uint64) string {
	t.Helper()
	return find(t, fmt.Sprintf("%s/dead-letters/confirm?action=drop&seq=%d", s.url, seq), `name="form" value="([^"]+)"`)
}

// find is what the parentheses of the pattern match first on a page.
func find(t *testing.T, url, pattern string) string {
	t.Helper()
	res, err := http.Get(url)
	must(t, err)
	body, err := io.ReadAll(res.Body)
	must(t, errors.Join(err, res.Body.Close()))
	found := regexp.MustCompile(pattern).FindSubmatch(body)
	if found == nil {
		t.Fatalf("nothing like %s in %s", pattern, body)
	}
	return string(found[1])
}

// refused: a page of another site can't act, even if it had our form token, nor can a
// form without that, and a name that was made to resolve to us shows nothing.
func refused(t *testing.T, w *world, b *browser, s *streamer) {
	seq := w.deadLetter(t)
	evil := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, `<!doctype html><link rel="icon" href="data:,"><form method="post" action="%s/dead-letters/act"><input name="form" value="%s"><input name="action" value="drop"><input name="who" value="mallory"><input name="seq" value="%d"><button>Win a prize</button></form>`,
			s.url, formToken(t, s, seq), seq)
	}))
	defer evil.Close()
	for _, site := range []string{evil.URL, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)} {
		x := b.open(t, 1280)
		x.expectRefusals()
		x.load(site)
		x.press("button", "Win")
		x.reads("the request comes from another site")
	}
	x := b.open(t, 1280)
	x.expectRefusals()
	x.load(s.url + "/dead-letters")
	eval[bool](x, `fetch("/dead-letters/act", {method: "POST", body: new URLSearchParams({action: "drop", who: "mallory", seq: "`+fmt.Sprint(seq)+`"})}).then(r => { window.answered = r.status }), true`)
	x.until("window.answered === 403")
	x.load(strings.Replace(s.url, "127.0.0.1", "binjet.localhost", 1))
	x.reads("the page answers to localhost")
	if seqs := w.dead(t); len(seqs) != 1 || seqs[0] != seq {
		t.Errorf("dead letters are %v, and were %d", seqs, seq)
	}
	if strings.Contains(s.text(), "mallory") {
		t.Errorf("something was done:\n%s", s.text())
	}
}

// replay: found, looked at, replayed, handled, and logged with who did it.
func replay(t *testing.T, w *world, b *browser, s *streamer, handled *atomic.Int64) {
	x := b.open(t, 1280)
	x.load(s.url + "/")
	x.reads("1 dead letter")
	x.press("nav a", "Dead letters")
	x.until("document.querySelector('input[name=text]')")
	x.run(chromedp.SendKeys("input[name=text]", "DECLINED\r"))
	x.until("location.search.includes('DECLINED')")
	x.reads("card_declined <b>by the issuer</b>")
	x.shoot("dead_letters")
	x.press("tbody a", "orders.created")
	x.reads("Given up by billing")
	x.shoot("dead_letter")
	x.press("button[value=replay]", "")
	x.reads("Replay 1 dead letter?")
	x.press("button.primary", "") // the name is missing, and the browser says so
	x.until("document.querySelector('input[name=who]:invalid') !== null && location.pathname === '/dead-letters/confirm'")
	x.run(chromedp.SendKeys("input[name=who]", "Ann from the night shift"))
	x.shoot("confirm")
	x.press("button.primary", "")
	x.reads("Replayed: 1")
	deadline, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for handled.Load() == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the replay is not handled")
		}
	}
	if seqs := w.dead(t); len(seqs) != 0 || handled.Load() != 1 {
		t.Errorf("handled %d times, dead letters %v", handled.Load(), seqs)
	}
	if log := s.text(); !strings.Contains(log, `"who":"Ann from the night shift"`) || !strings.Contains(log, `"action":"replay"`) {
		t.Errorf("the log does not say who:\n%s", log)
	}
	x.load(s.url + "/dead-letters")
	x.reads("No dead letters.")
}

// drop: chosen in the list, by the keyboard alone. The name is known from before.
func drop(t *testing.T, w *world, b *browser, s *streamer) {
	w.deadLetter(t)
	x := b.open(t, 1280)
	x.load(s.url + "/dead-letters")
	x.run(chromedp.Focus("input[data-all]"), chromedp.KeyEvent(" "))
	x.until("document.querySelector('input[name=seq]').checked")
	x.run(chromedp.Focus("button[value=drop]"), chromedp.KeyEvent("\r"))
	x.reads("Drop 1 dead letter?")
	x.until("document.querySelector('input[name=who]').value === 'Ann from the night shift'")
	x.run(chromedp.Focus("button.danger"), chromedp.KeyEvent("\r"))
	x.reads("Dropped: 1")
	if seqs := w.dead(t); len(seqs) != 0 {
		t.Errorf("dead letters %v", seqs)
	}
}

// token: on an address that others reach there is a page only for who has the token.
func token(t *testing.T, w *world, b *browser) {
	const secret = "correct-horse-battery-staple"
	s := w.start("BINJET_HTTP_LISTEN=0.0.0.0:0", "BINJET_HTTP_TOKEN="+secret)
	url := strings.Replace(s.url, "[::]", "127.0.0.1", 1)
	url = strings.Replace(url, "0.0.0.0", "127.0.0.1", 1)
	x := b.open(t, 1280)
	x.expectRefusals()
	x.load(url + "/messages")
	x.reads("Log in")
	x.run(chromedp.SendKeys("input[name=token]", "a guess\r"))
	x.reads("This is not the token")
	x.shoot("login")
	x.run(chromedp.SendKeys("input[name=token]", secret+"\r"))
	x.until("location.pathname === '/messages'")
	x.reads("seen-from-a-standby")
	x.press("nav a", "Overview")
	x.until("document.querySelector('#connection')?.textContent === 'live'")
	if page := eval[string](x, "document.documentElement.outerHTML + document.cookie"); strings.Contains(page, secret) {
		t.Error("the token is on the page")
	}
	if log := s.text(); strings.Contains(log, secret) || !strings.Contains(log, "a wrong token") {
		t.Errorf("the log has the token, or nothing of the guess:\n%s", log)
	}
	x.press("button", "Log out")
	x.until("location.pathname === '/login'")
	x.load(url + "/")
	x.reads("It is what http.token")

	closed := w.start("BINJET_HTTP_LISTEN=0.0.0.0:0")
	url = strings.Replace(strings.Replace(closed.url, "[::]", "127.0.0.1", 1), "0.0.0.0", "127.0.0.1", 1)
	x.load(url + "/")
	x.reads("there is no token")
	res, err := http.Get(url + "/metrics")
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != 200 {
		t.Errorf("metrics without a token: %s", res.Status)
	}
}

// faults finds what a person with other eyes, hands or a small screen stumbles over.
const faults = `(() => {
  const list = []
  const rgb = c => (c.match(/[\d.]+/g) ?? []).map(Number)
  const light = ([r, g, b]) => [r, g, b].map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 }).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0)
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c } return rgb(getComputedStyle(document.documentElement).backgroundColor) }
  for (const e of document.querySelectorAll('body *')) {
    const says = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
    if (says && !e.closest('.hidden, .skip, [hidden]') && e.getClientRects().length) {
      const style = getComputedStyle(e), a = light(rgb(e.closest('svg') ? style.fill : style.color)), b = light(ground(e))
      const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05)
      if (contrast < 4.5) list.push('contrast ' + contrast.toFixed(2) + ' of ' + JSON.stringify(e.textContent.trim().slice(0, 30)))
    }
    if (e.matches('input:not([type=hidden]), select') && !e.labels?.length && !e.ariaLabel) list.push('no label: ' + e.outerHTML)
    if (e.matches('button, a') && !e.innerText.trim() && !e.ariaLabel && !e.hidden && !e.matches('.skip')) list.push('no name: ' + e.outerHTML)
    if (e.matches('svg') && !e.ariaLabel) list.push('a picture without words')
    if (e.matches('section, nav') && !e.ariaLabel && !document.getElementById(e.getAttribute('aria-labelledby'))) list.push('no name: ' + e.outerHTML.slice(0, 60))
  }
  if (document.querySelectorAll('h1').length !== 1 || !document.documentElement.lang || document.querySelectorAll('main').length !== 1) list.push('no h1, lang or main')
  if (document.documentElement.scrollWidth > innerWidth) list.push('it is ' + document.documentElement.scrollWidth + ' wide on ' + innerWidth)
  return list
})()`

// everybody: each page on a phone and on a desk, light and dark, can be read and used.
func everybody(t *testing.T, w *world, b *browser, s *streamer) {
	dead, message := fmt.Sprint(w.deadLetter(t)), find(t, s.url+"/messages", `href="(/messages/\d+)"`)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 390, 1280} {
			x := b.open(t, width)
			x.expectRefusals() // of /nowhere
			x.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
			for _, path := range []string{"/", "/messages", message, "/dead-letters", "/dead-letters/" + dead, "/dead-letters/confirm?action=drop&seq=" + dead, "/nowhere"} {
				x.load(s.url + path)
				if path == "/" {
					x.until("document.querySelectorAll('[data-live=processes] tbody tr').length > 2")
				}
				for _, fault := range eval[[]string](x, faults) {
					t.Errorf("%s, %s, %d wide: %s", path, scheme, width, fault)
				}
				x.shoot(fmt.Sprint(scheme, width, strings.Map(func(r rune) rune {
					if strings.ContainsRune("/?=&", r) {
						return '_'
					}
					return r
				}, path)))
			}
			if bright := eval[string](x, "getComputedStyle(document.body).backgroundColor") == "rgb(245, 246, 248)"; bright != (scheme == "light") {
				t.Errorf("%s is bright: %v", scheme, bright)
			}
		}
	}
}

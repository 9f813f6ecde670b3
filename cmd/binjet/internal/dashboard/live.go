package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	liveEvery = time.Second
	keepAlive = 15 * time.Second // a proxy may end what is silent for longer
	sendTime  = 10 * time.Second // for one update to reach the browser
)

// live sends fragments by Server-Sent Events as they change, until the viewer or the
// server goes. ?of= names them, separated by commas.
func (d *Dashboard) live(w http.ResponseWriter, r *http.Request) {
	select {
	case d.seats <- struct{}{}:
		defer func() { <-d.seats }()
	default:
		http.Error(w, "binjet: too many pages are open; next: close one, or reload this one for its present state", http.StatusServiceUnavailable)
		return
	}
	wanted := slices.DeleteFunc(fragments(), func(name string) bool {
		return !slices.Contains(strings.Split(r.URL.Query().Get("of"), ","), name)
	})
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil { // else the server's own ends the request
		http.Error(w, "binjet: no live updates: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy would keep it back
	if err := d.follow(r.Context(), w, wanted); err != nil {
		d.Log.Error("the dashboard can't render an update", "error", err)
	}
}

// follow watches each fragment by itself, so that one that waits for an answer holds no
// other up, and sends what they become.
func (d *Dashboard) follow(ctx context.Context, w http.ResponseWriter, wanted []string) error {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	updates, failed := make(chan string), make(chan error, len(wanted))
	for _, name := range wanted {
		watching.Go(func() { failed <- d.watch(ctx, name, updates) })
	}
	quiet := time.NewTimer(keepAlive)
	defer quiet.Stop()
	for {
		var update string
		select {
		case update = <-updates:
		case <-quiet.C:
			update = ": still here\n\n"
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
		if !send(w, update) {
			return nil
		}
		quiet.Reset(keepAlive)
	}
}

// send writes within its own time: the server's is for answers that end.
func send(w http.ResponseWriter, update string) bool {
	c := http.NewResponseController(w)
	if c.SetWriteDeadline(time.Now().Add(sendTime)) != nil {
		return false
	}
	_, err := w.Write([]byte(update))
	return err == nil && c.Flush() == nil
}

// watch gives the fragment as an event, at first and whenever it is not as it was.
func (d *Dashboard) watch(ctx context.Context, name string, updates chan<- string) error {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for sent := ""; ; {
		var b bytes.Buffer
		if err := d.views.fragment(&b, name, d.fragment(ctx, name)); err != nil {
			return err
		}
		if html := b.String(); html != sent {
			select {
			case updates <- event(name, html):
				sent = html
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func event(name, html string) string {
	var e strings.Builder
	fmt.Fprintf(&e, "event: %s\n", name)
	for line := range strings.Lines(html) {
		if line = strings.TrimRight(strings.TrimSpace(line), "\r\n"); line != "" {
			fmt.Fprintf(&e, "data: %s\n", line)
		}
	}
	return e.String() + "\n"
}

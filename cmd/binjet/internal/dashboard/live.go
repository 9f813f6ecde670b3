package dashboard

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
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
	sent := make(map[string]string)
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for quiet := time.Now(); ; {
		update, err := d.changes(r, wanted, sent)
		if err != nil {
			d.Log.Error("the dashboard can't render an update", "error", err)
			return
		}
		if update == "" && time.Since(quiet) > keepAlive {
			update = ": still here\n\n"
		}
		if update != "" {
			quiet = time.Now()
			if !send(w, update) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
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

// changes are events for the fragments that are not as they were sent.
func (d *Dashboard) changes(r *http.Request, wanted []string, sent map[string]string) (string, error) {
	var events strings.Builder
	for _, name := range wanted {
		var b bytes.Buffer
		if err := d.views.fragment(&b, name, d.fragment(r.Context(), name)); err != nil {
			return "", err
		}
		if html := b.String(); sent[name] != html {
			sent[name] = html
			fmt.Fprintf(&events, "event: %s\n", name)
			for line := range strings.Lines(html) {
				if line = strings.TrimRight(strings.TrimSpace(line), "\r\n"); line != "" {
					fmt.Fprintf(&events, "data: %s\n", line)
				}
			}
			events.WriteString("\n")
		}
	}
	return events.String(), nil
}

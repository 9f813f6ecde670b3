package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves the probes and the metrics, which are for everybody who can reach
// them, and all the rest by page.
func (w *Watch) Handler(page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", w.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(w.registry, promhttp.HandlerOpts{}))
	return mux
}

// serveReady judges this process; with ?leader=1 only the leader is ready, as a
// load balancer in front of two wants it.
func (w *Watch) serveReady(rw http.ResponseWriter, r *http.Request) {
	leader, err := onlyLeader(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	report := w.Report(leader)
	body, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	if !report.Ready {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = rw.Write(append(body, '\n'))
}

func onlyLeader(r *http.Request) (bool, error) {
	value := r.URL.Query().Get("leader")
	if value == "" {
		return false, nil
	}
	leader, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("leader=%q is neither 1 nor 0", value)
	}
	return leader, nil
}

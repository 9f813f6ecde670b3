package dashboard

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/cmd/binjet/internal/presence"
	"github.com/binjet/binjet/relay"
)

// Relay tells what this process knows of its relay, and asks nobody. *admin.Watch is one.
type Relay interface {
	Status() (relay.Status, bool)
	Report(leader bool) admin.Report
	Lag() (time.Duration, bool)
}

// Gate knows who is looking. *admin.Guard is one.
type Gate interface {
	NeedsToken() bool
	Login(w http.ResponseWriter, token string) (ok, tooMany bool)
	Logout(w http.ResponseWriter)
	FormToken(r *http.Request) string
}

// Config of a Dashboard. All but Version are required.
type Config struct {
	Relay   Relay
	History *History
	Gate    Gate
	Log     *slog.Logger // gets who replayed and dropped what
	Source  string       // its name
	Stream  string
	Prefix  string // of the subjects of events
	Version string // of binjet
}

// Dashboard is the page. It is safe for concurrent use.
type Dashboard struct {
	Config
	views *views
	seats chan struct{} // one for each stream of live updates

	mu     sync.Mutex
	stream *stream  // nil until Attach
	source Surveyor // nil until AttachSource

	dead      cached[deadCounts]
	consumers cached[[]consumerRow]
	messages  cached[[]message]
	survey    cached[*binlog.Survey]
	processes cached[[]presence.Process]
}

const (
	maxViewers = 32
	perPage    = 50
	recentRows = 12 // on the overview
)

// New returns the page, which says that the process is starting until [Dashboard.Attach].
func New(c Config) (*Dashboard, error) {
	if c.Relay == nil || c.History == nil || c.Gate == nil || c.Log == nil || c.Source == "" || c.Stream == "" || c.Prefix == "" {
		return nil, errors.New("dashboard: Relay, History, Gate, Log, Source, Stream and Prefix are required")
	}
	views, err := parseViews()
	if err != nil {
		return nil, err
	}
	return &Dashboard{Config: c, views: views, seats: make(chan struct{}, maxViewers)}, nil
}

// Attach gives the page the connection to the broker, once there is one.
func (d *Dashboard) Attach(nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stream = &stream{nc: nc, js: js, name: d.Stream, prefix: d.Prefix}
	return nil
}

// AttachSource gives the page somebody to ask about the source. Without one it shows no binlogs.
func (d *Dashboard) AttachSource(s Surveyor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.source = s
}

func (d *Dashboard) surveyor() Surveyor {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.source
}

// broker is the stream; nil before Attach, which its methods know.
func (d *Dashboard) broker() *stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stream
}

// Handler serves the page.
func (d *Dashboard) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", d.views.files)
	mux.Handle("GET /favicon.ico", http.RedirectHandler("/static/icon.svg", http.StatusMovedPermanently)) // of what is no page, such as a refusal
	mux.HandleFunc("GET /{$}", d.overview)
	mux.HandleFunc("GET /live", d.live)
	mux.HandleFunc("GET /messages", d.listMessages)
	mux.HandleFunc("GET /messages/{seq}", d.showMessage)
	mux.HandleFunc("GET /dead-letters", d.listDead)
	mux.HandleFunc("GET /dead-letters/{seq}", d.showDead)
	mux.HandleFunc("GET /dead-letters/confirm", d.confirm)
	mux.HandleFunc("POST /dead-letters/act", d.act)
	mux.HandleFunc("GET "+admin.LoginPath, d.askToken)
	mux.HandleFunc("POST "+admin.LoginPath, d.login)
	mux.HandleFunc("POST "+admin.LogoutPath, d.logout)
	mux.HandleFunc("/", d.notFound)
	return mux
}

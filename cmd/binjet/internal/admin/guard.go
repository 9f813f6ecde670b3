package admin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	// FormField is the field of a form that carries [Guard.FormToken].
	FormField = "form"
	// LoginPath is where a browser without a session is sent, and LogoutPath where one ends.
	LoginPath, LogoutPath = "/login", "/logout"

	sessionLife = 12 * time.Hour
	maxBody     = 64 << 10
)

// Guard says who may see the page and act on it. The probes and the metrics are not
// behind it: Kubernetes and Prometheus bring no token.
//
// With a token, every request has to prove it: a program as "Authorization: Bearer
// <token>", a browser by a session, which it gets for the token. Without one, only
// this machine is served: the listener has to be on a loopback address, and the Host
// header has to name one too, since a page of somebody else's whose name was made to
// resolve to 127.0.0.1 (DNS rebinding) would otherwise be the same origin as ours.
//
// What changes something is refused to a browser that comes from another site, and
// has to carry the form token that our own page has in its forms, unless it brings
// the bearer token.
type Guard struct {
	token    func() string
	loopback bool
	secure   bool   // TLS: cookies are for TLS only
	random   []byte // signs forms where there is no token
	origin   *http.CrossOriginProtection
	tries    *rate.Limiter // of logins, all clients together
	now      func() time.Time
}

// NewGuard returns the guard of a listener. token is asked at each request, and may
// return "" or be nil for none. All processes that share a token take each other's
// sessions, so that a load balancer may stand before them; another token ends them all.
func NewGuard(listen string, token func() string, tls bool) *Guard {
	if token == nil {
		token = func() string { return "" }
	}
	return &Guard{token: token, loopback: isLoopback(listen), secure: tls, random: []byte(rand.Text()),
		origin: http.NewCrossOriginProtection(), tries: rate.NewLimiter(1, 10), now: time.Now}
}

// key signs sessions and forms.
func (g *Guard) key() []byte {
	if token := g.token(); token != "" {
		return sign([]byte(token), "binjet admin server")
	}
	return g.random
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Closed is why nobody gets the page; "" where somebody may.
func (g *Guard) Closed() string {
	if g.token() == "" && !g.loopback {
		return "http.listen is not a loopback address and there is no token, so only /healthz, /readyz and /metrics are served; " +
			"next: set http.token or http.token_file, and http.tls.cert and http.tls.key unless something before it does TLS"
	}
	return ""
}

// Loopback says whether only this machine can reach it.
func (g *Guard) Loopback() bool { return g.loopback }

// NeedsToken says whether there is a token to be asked for.
func (g *Guard) NeedsToken() bool { return g.token() != "" }

// Protect serves page to whom it is for.
func (g *Guard) Protect(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secureHeaders(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if !g.reachable(w, r) || !g.known(w, r) || !g.meant(w, r) {
			return
		}
		page.ServeHTTP(w, r)
	})
}

// secureHeaders let the page load nothing but its own files, be framed by nobody,
// and be kept by no cache.
func secureHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// reachable refuses what does not come the way that is meant.
func (g *Guard) reachable(w http.ResponseWriter, r *http.Request) bool {
	if why := g.Closed(); why != "" {
		refuse(w, http.StatusForbidden, why)
		return false
	}
	if g.token() == "" && !loopbackHost(hostOf(r.Host)) {
		refuse(w, http.StatusMisdirectedRequest, "without a token the page answers to localhost, 127.0.0.1 and ::1 only, not to "+strconv.Quote(r.Host)+
			"; next: use one of these, or set http.token to reach it by another name")
		return false
	}
	return true
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// known refuses who has not proven the token.
func (g *Guard) known(w http.ResponseWriter, r *http.Request) bool {
	if g.token() == "" || open(r.URL.Path) || g.bearer(r) || g.session(r) != "" {
		return true
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, LoginPath+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return false
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="binjet"`)
	refuse(w, http.StatusUnauthorized, "the token is missing or wrong; next: log in at "+LoginPath+", or send Authorization: Bearer <http.token>")
	return false
}

// open paths hold nothing of anybody's.
func open(path string) bool {
	return path == LoginPath || path == "/favicon.ico" || strings.HasPrefix(path, "/static/")
}

// meant refuses what the user of our page did not ask for.
func (g *Guard) meant(w http.ResponseWriter, r *http.Request) bool {
	if safe(r.Method) {
		return true
	}
	if err := g.origin.Check(r); err != nil {
		refuse(w, http.StatusForbidden, "refused: the request comes from another site; next: use the page itself")
		return false
	}
	if r.URL.Path == LoginPath || g.token() != "" && g.bearer(r) {
		return true
	}
	if !hmac.Equal([]byte(r.PostFormValue(FormField)), []byte(g.FormToken(r))) {
		refuse(w, http.StatusForbidden, "refused: the form is not one of this page's, or the process or the session is another one by now; next: load the page again and repeat it")
		return false
	}
	return true
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func refuse(w http.ResponseWriter, code int, why string) { http.Error(w, "binjet: "+why, code) }

// FormToken is what a form that changes something has to carry as [FormField].
func (g *Guard) FormToken(r *http.Request) string {
	return base64.RawURLEncoding.EncodeToString(sign(g.key(), "form "+g.session(r)))
}

func (g *Guard) bearer(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && g.is(given)
}

// is compares by digests, so that the time it takes says nothing of the token's length either.
func (g *Guard) is(given string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(g.token()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Login gives the browser a session for the token. tooMany says that it was not even
// compared: somebody is guessing.
func (g *Guard) Login(w http.ResponseWriter, token string) (ok, tooMany bool) {
	if !g.tries.AllowN(g.now(), 1) {
		return false, true
	}
	if g.token() == "" || !g.is(token) {
		return false, false
	}
	until := strconv.FormatInt(g.now().Add(sessionLife).Unix(), 10)
	g.cookie(w, until+"."+hex.EncodeToString(sign(g.key(), "session "+until)), int(sessionLife.Seconds()))
	return true, false
}

// Logout ends the browser's session.
func (g *Guard) Logout(w http.ResponseWriter) { g.cookie(w, "", -1) }

func (g *Guard) cookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: g.cookieName(), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: g.secure, SameSite: http.SameSiteStrictMode})
}

// cookieName is one for each token, since cookies know no ports, and several
// processes may run on one host.
func (g *Guard) cookieName() string {
	return "binjet_session_" + hex.EncodeToString(sign(g.key(), "cookie")[:4])
}

// session is the request's, "" where it has none that is valid.
func (g *Guard) session(r *http.Request) string {
	c, err := r.Cookie(g.cookieName())
	if g.token() == "" || err != nil {
		return ""
	}
	until, signature, _ := strings.Cut(c.Value, ".")
	given, err := hex.DecodeString(signature)
	at, numErr := strconv.ParseInt(until, 10, 64)
	if err != nil || numErr != nil || !hmac.Equal(given, sign(g.key(), "session "+until)) || g.now().Unix() >= at {
		return ""
	}
	return c.Value
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

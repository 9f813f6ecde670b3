package admin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const testToken = "0123456789abcdef"

// visitor is a client of a guarded page that answers "in <form token>".
type visitor struct {
	guard  *Guard
	server http.Handler
	cookie *http.Cookie
}

func newVisitor(listen, token string, tls bool) *visitor {
	g := NewGuard(listen, func() string { return token }, tls)
	page := http.NewServeMux()
	page.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "in "+g.FormToken(r)) })
	page.HandleFunc("POST "+LoginPath, func(w http.ResponseWriter, r *http.Request) {
		if ok, _ := g.Login(w, r.PostFormValue("token")); !ok {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	return &visitor{guard: g, server: g.Protect(page)}
}

// send makes a request, with headers as "name: value".
func (v *visitor) send(method, target, form string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(form))
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	w := httptest.NewRecorder()
	v.server.ServeHTTP(w, r)
	return w.Result()
}

// form is a form with the token of our page.
func (v *visitor) form(t *testing.T) string {
	t.Helper()
	body, err := io.ReadAll(v.send("GET", "http://localhost:1/", "").Body)
	token, ok := strings.CutPrefix(string(body), "in ")
	if err != nil || !ok {
		t.Fatalf("the page is %q, %v", body, err)
	}
	return FormField + "=" + url.QueryEscape(token)
}

func want(t *testing.T, what string, res *http.Response, code int) {
	t.Helper()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != code {
		t.Errorf("%s: %d, want %d: %s", what, res.StatusCode, code, body)
	}
	if code >= 400 && code != 401 && !strings.Contains(string(body), "next:") {
		t.Errorf("%s: it does not say what to do: %s", what, body)
	}
}

// TestLoopback: without a token this machine gets the page, and nobody's page but ours acts.
func TestLoopback(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:9188", "localhost:9188", "[::1]:9188"} {
		v := newVisitor(listen, "", false)
		form := v.form(t)
		for _, host := range []string{"localhost", "127.0.0.1:9188", "[::1]:1"} {
			want(t, host, v.send("GET", "http://"+host+"/", ""), 200)
		}
		want(t, "a name that was made to resolve to us", v.send("GET", "http://evil.example:9188/", ""), 421)
		want(t, "the form", v.send("POST", "http://localhost/act", form, "Sec-Fetch-Site: same-origin"), 200)
		want(t, "no form token", v.send("POST", "http://localhost/act", "x=1", "Sec-Fetch-Site: same-origin"), 403)
		want(t, "a form token of another process", v.send("POST", "http://localhost/act", newVisitor(listen, "", false).form(t)), 403)
		want(t, "cross-site", v.send("POST", "http://localhost/act", form, "Sec-Fetch-Site: cross-site"), 403)
		want(t, "same site, another port", v.send("POST", "http://localhost/act", form, "Sec-Fetch-Site: same-site"), 403)
		want(t, "an old browser, another origin", v.send("POST", "http://localhost/act", form, "Origin: http://evil.example"), 403)
	}
}

// TestElsewhereWithoutToken: the page is for nobody, the probes and metrics for all.
func TestElsewhereWithoutToken(t *testing.T) {
	for _, listen := range []string{":9188", "0.0.0.0:9188", "10.0.0.1:9188", "example.org:9188"} {
		v := newVisitor(listen, "", false)
		want(t, listen, v.send("GET", "http://localhost/", ""), 403)
		want(t, listen, v.send("POST", "http://localhost/act", ""), 403)
		if !strings.Contains(v.guard.Closed(), "http.token") {
			t.Errorf("%s is closed: %q", listen, v.guard.Closed())
		}
	}
	b := newBench()
	v := newVisitor(":9188", "", false)
	v.server = b.Handler(v.server)
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		want(t, path, v.send("GET", "http://10.0.0.1:9188"+path, ""), 200)
		want(t, path, v.send("POST", "http://10.0.0.1:9188"+path, ""), 403)
	}
}

func TestToken(t *testing.T) {
	v := newVisitor(":9188", testToken, true)
	res := v.send("GET", "http://binjet.example/dead-letters?by=x", "", "Accept: text/html,*/*")
	want(t, "a browser", res, 303)
	if to := res.Header.Get("Location"); to != "/login?next=%2Fdead-letters%3Fby%3Dx" {
		t.Errorf("a browser goes to %s", to)
	}
	want(t, "a program", v.send("GET", "http://binjet.example/", ""), 401)
	want(t, "the login page", v.send("GET", "http://binjet.example/login", ""), 200)
	want(t, "its files", v.send("GET", "http://binjet.example/static/app.css", ""), 200)
	want(t, "the token", v.send("GET", "http://binjet.example/", "", "Authorization: Bearer "+testToken), 200)
	want(t, "another one", v.send("GET", "http://binjet.example/", "", "Authorization: Bearer "+testToken+"x"), 401)
	want(t, "a program that acts", v.send("POST", "http://binjet.example/act", "", "Authorization: Bearer "+testToken), 200)
	want(t, "another site with the token", v.send("POST", "http://binjet.example/act", "", "Authorization: Bearer "+testToken, "Sec-Fetch-Site: cross-site"), 403)
	want(t, "nobody that acts", v.send("POST", "http://binjet.example/act", ""), 401)
	want(t, "login from another site", v.send("POST", "http://binjet.example/login", "token="+testToken, "Sec-Fetch-Site: cross-site"), 403)
}

func (v *visitor) login(t *testing.T) {
	t.Helper()
	res := v.send("POST", "http://localhost/login", "token="+testToken)
	if len(res.Cookies()) != 1 {
		t.Fatalf("login: %s with cookies %v", res.Status, res.Cookies())
	}
	v.cookie = res.Cookies()[0]
}

func TestSession(t *testing.T) {
	v := newVisitor(":9188", testToken, true)
	if res := v.send("POST", "http://localhost/login", "token=wrong"); res.StatusCode != 401 || len(res.Cookies()) != 0 {
		t.Errorf("a wrong token: %s, %v", res.Status, res.Cookies())
	}
	v.login(t)
	if c := v.cookie; !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, testToken) {
		t.Errorf("cookie %+v", c)
	}
	form := v.form(t)
	want(t, "its form", v.send("POST", "http://localhost/act", form), 200)
	want(t, "no form", v.send("POST", "http://localhost/act", ""), 403)

	replica := newVisitor(":9188", testToken, true)
	replica.cookie = v.cookie
	want(t, "another process with the token", replica.send("POST", "http://localhost/act", form), 200)
	other := newVisitor(":9188", testToken+"x", true)
	other.cookie = &http.Cookie{Name: other.guard.cookieName(), Value: v.cookie.Value}
	want(t, "a process with another token", other.send("GET", "http://localhost/", ""), 401)

	token := testToken
	v.guard.token = func() string { return token }
	token = "another token that was put into the file"
	want(t, "a session of before the token changed", v.send("GET", "http://localhost/", ""), 401)
	token = testToken

	whole := v.cookie.Value
	v.cookie.Value = "9" + whole
	want(t, "a session that lengthened itself", v.send("GET", "http://localhost/", ""), 401)
	v.cookie.Value = whole
	v.guard.now = func() time.Time { return time.Now().Add(sessionLife + time.Second) }
	want(t, "a session that is over", v.send("GET", "http://localhost/", ""), 401)
}

// TestGuessing: tries are slowed down for all together, also of the right one.
func TestGuessing(t *testing.T) {
	v := newVisitor(":9188", testToken, false)
	now := time.Now()
	v.guard.now = func() time.Time { return now }
	tries := 0
	for ; tries < 100; tries++ {
		if _, tooMany := v.guard.Login(httptest.NewRecorder(), "guess"); tooMany {
			break
		}
	}
	if tries != 10 {
		t.Errorf("%d tries at once", tries)
	}
	now = now.Add(time.Second)
	if ok, tooMany := v.guard.Login(httptest.NewRecorder(), testToken); !ok || tooMany {
		t.Error("a second later nobody gets in")
	}
}

func TestHeadersAndBody(t *testing.T) {
	v := newVisitor("127.0.0.1:0", "", false)
	h := v.send("GET", "http://localhost/", "").Header
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("headers %v", h)
	}
	form := v.form(t)
	want(t, "a body of the allowed size", v.send("POST", "http://localhost/act", form+"&x="+strings.Repeat("x", 32<<10)), 200)
	want(t, "a larger one", v.send("POST", "http://localhost/act", "x="+strings.Repeat("x", maxBody)+"&"+form), 403)
}

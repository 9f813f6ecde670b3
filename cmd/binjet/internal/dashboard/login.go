package dashboard

import (
	"net/http"
	"strings"

	"github.com/binjet/binjet/cmd/binjet/internal/admin"
)

type loginView struct{ Next, Error string }

func (d *Dashboard) askToken(w http.ResponseWriter, r *http.Request) {
	if !d.Gate.NeedsToken() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	d.render(w, r, http.StatusOK, "login", "Log in", loginView{Next: ours(r.URL.Query().Get("next"))})
}

func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	next := ours(r.PostFormValue("next"))
	ok, tooMany := d.Gate.Login(w, strings.TrimSpace(r.PostFormValue("token")))
	switch {
	case tooMany:
		d.Log.Warn("too many tries to log in to the dashboard", "remote", r.RemoteAddr)
		d.render(w, r, http.StatusTooManyRequests, "login", "Log in", loginView{next, "Too many tries. Wait a few seconds."})
	case !ok:
		d.Log.Warn("a wrong token for the dashboard", "remote", r.RemoteAddr)
		d.render(w, r, http.StatusUnauthorized, "login", "Log in", loginView{next, "This is not the token. It is http.token, or in the file http.token_file, of this process."})
	default:
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	d.Gate.Logout(w)
	http.Redirect(w, r, admin.LoginPath, http.StatusSeeOther)
}

// ours is a path of ours to go to, so that a link can't lead to another site.
func ours(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/"
	}
	return next
}

package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/binjet/binjet/cmd/binjet/internal/admin"
)

//go:embed templates static
var files embed.FS

// views are the parsed templates and the files beside them.
type views struct {
	pages map[string]*template.Template
	parts *template.Template
	files http.Handler
}

func parseViews() (*views, error) {
	parts, err := template.New("").Funcs(functions()).ParseFS(files, "templates/layout.html", "templates/fragments.html")
	if err != nil {
		return nil, err
	}
	v := &views{pages: make(map[string]*template.Template), parts: parts}
	for _, page := range []string{"overview", "messages", "message", "dead_letters", "dead_letter", "confirm", "outcome", "login", "problem"} {
		t, err := parts.Clone()
		if err != nil {
			return nil, err
		}
		if v.pages[page], err = t.ParseFS(files, "templates/"+page+".html"); err != nil {
			return nil, err
		}
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, err
	}
	v.files = http.StripPrefix("/static/", http.FileServerFS(static))
	return v, nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"join": func(list []string) string { return strings.Join(list, ", ") }, "whole": whole, "size": size, "clock": clock, "date": date,
		"iso":  func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"span": func(d time.Duration) string { return span(d.Seconds()) },
	}
}

func (v *views) fragment(w io.Writer, name string, data any) error {
	return v.parts.ExecuteTemplate(w, name, data)
}

// page is what every page has, and View what only this one has.
type page struct {
	Title, Name     string
	Source, Version string
	Form            string // the token that forms carry
	FormField       string
	Login, Logout   string // paths; Logout is "" where nobody has to log in
	View            any
}

// render writes a page whole or not at all.
func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, code int, name, title string, view any) {
	p := page{Title: title, Name: name, Source: d.Source, Version: d.Version, Form: d.Gate.FormToken(r), FormField: admin.FormField,
		Login: admin.LoginPath, View: view}
	if d.Gate.NeedsToken() && name != "login" {
		p.Logout = admin.LogoutPath
	}
	var b bytes.Buffer
	if err := d.views.pages[name].ExecuteTemplate(&b, "layout", p); err != nil {
		d.Log.Error("the dashboard can't render a page", "page", name, "error", err)
		http.Error(w, "binjet: this page can't be rendered; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = b.WriteTo(w) // a browser that is gone is no fault of ours
}

// problem is a page that says what went wrong, and what to do.
func (d *Dashboard) problem(w http.ResponseWriter, r *http.Request, code int, what, next string) {
	d.render(w, r, code, "problem", http.StatusText(code), map[string]string{"What": what, "Next": next})
}

func (d *Dashboard) notFound(w http.ResponseWriter, r *http.Request) {
	d.problem(w, r, http.StatusNotFound, fmt.Sprintf("There is nothing at %s.", r.URL.Path), "Go back to the overview.")
}

package binlog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/binjet/binjet/internal/tlsfault"
)

// session is a connection for statements. It ends with its context.
type session struct {
	*client.Conn
	link *link
	stop func() bool
	ctx  context.Context
}

// connect opens a session. The statements on it, too, end with ctx.
func (r *Reader) connect(ctx context.Context) (*session, error) {
	login, err := r.login()
	if err != nil {
		return nil, err
	}
	l := newLink(r.cfg.ReadTimeout) // a greeting takes no work
	stop := context.AfterFunc(ctx, l.close)
	c, err := client.ConnectWithDialer(ctx, "", r.cfg.Addr, login.User, login.Password, "", l.dial,
		func(c *client.Conn) error {
			c.SetTLSConfig(login.TLS)
			c.SetAttributes(map[string]string{"_client_role": "binjet"})
			return nil
		})
	if err != nil {
		stop()
		l.close()
		if what := tlsfault.Describe(err); what != "" {
			err = fmt.Errorf("%w: %s", err, what)
		}
		return nil, cause(ctx, fmt.Errorf("connect to %s as %q: %w", r.cfg.Addr, login.User, err))
	}
	l.timeout = max(r.cfg.ReadTimeout, sessionTimeout)
	return &session{Conn: c, link: l, stop: stop, ctx: ctx}, nil
}

// login is what the next connection is opened with.
func (r *Reader) login() (Login, error) {
	if r.cfg.Renew == nil {
		return Login{User: r.cfg.User, Password: r.cfg.Password, TLS: r.cfg.TLS}, nil
	}
	login, err := r.cfg.Renew()
	if err != nil {
		return Login{}, fmt.Errorf("connect to %s: %w", r.cfg.Addr, renewError{err})
	}
	return login, nil
}

// renewError is one of [Config.Renew].
type renewError struct{ error }

func (e renewError) Unwrap() error { return e.error }

func (s *session) close() {
	s.stop()
	s.link.close()
}

// cause prefers the reason why ctx ended to the network error that it led to.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// rows runs a query. NULL is "".
func (s *session) rows(query string, args ...any) ([][]string, error) {
	res, err := s.Execute(query, args...)
	if err != nil {
		return nil, cause(s.ctx, fmt.Errorf("%s: %w", query, err))
	}
	defer res.Close()
	if res.Resultset == nil {
		return nil, nil
	}
	out := make([][]string, res.RowNumber())
	for i := range out {
		out[i] = make([]string, res.ColumnNumber())
		for j := range out[i] {
			v, err := res.GetString(i, j)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", query, err)
			}
			out[i][j] = strings.Clone(v) // it aliases a buffer that Close gives away
		}
	}
	return out, nil
}

// row runs a query that returns one row.
func (s *session) row(query string, args ...any) ([]string, error) {
	rows, err := s.rows(query, args...)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no row", query)
	}
	return rows[0], nil
}

// serverCode is the error number that the server answered with, 0 for none.
func serverCode(err error) uint16 {
	var e *mysql.MyError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

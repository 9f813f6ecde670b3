package security

import (
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/natstest"
)

// login is a way to log in to the broker whose secret is rotated once.
type login struct {
	key           string                     // that names the file
	user          string                     // nats.user
	first, second string                     // contents of the file
	serve         func(*server.Options, int) // accept the first (0) or the second (1)
}

// TestBrokerLogins: by password, token, NKey and credentials, each from a file. What
// the file holds is used at each connect: once the broker takes the second only, the
// process says that it is refused, and follows when the file changes.
func TestBrokerLogins(t *testing.T) {
	t.Parallel()
	d := startDatabase(t, dbserver.MySQL)
	for name, l := range map[string]login{"password": passwordLogin(), "token": tokenLogin(), "creds": credsLogin(t)} {
		t.Run(name, func(t *testing.T) {
			var opts *server.Options
			ns := natstest.Start(t, func(o *server.Options) { opts = o; l.serve(o, 0) })
			file := secretFile(t, l.first)
			e := env{"BINJET_SOURCE_DSN": d.DSN("shop"), "BINJET_NATS_URL": ns.URL(), "BINJET_RELAY_HEARTBEAT": "200ms", l.key: file}
			if l.user != "" {
				e["BINJET_NATS_USER"] = l.user
			}
			wrong := e.with(env{l.key: secretFile(t, l.second)})
			if code, out := wrong.run(t, patience, "init"); code != 1 || !strings.Contains(out, "Authorization Violation") || !strings.Contains(out, "check nats.creds") {
				t.Errorf("the wrong secret: exit %d %s", code, out)
			}
			e.ok(t, "init")
			p := e.start(t)
			p.leads(t)
			l.serve(opts, 1)
			ns.Restart()
			p.answers(t, 503, "Authorization Violation")
			write(t, file, l.second)
			p.leads(t)
			p.says(t, "NATS is connected again")
			p.stop(t)
		})
	}
}

// TestNKeyLogin: the seed is read at each connect, and one of another user is refused
// with a word of why.
func TestNKeyLogin(t *testing.T) {
	t.Parallel()
	d := startDatabase(t, dbserver.MySQL)
	first, second := newUser(t), newUser(t)
	ns := natstest.Start(t, func(o *server.Options) {
		o.Nkeys = []*server.NkeyUser{{Nkey: public(t, first)}, {Nkey: public(t, second)}}
	})
	file := secretFile(t, seed(t, first))
	e := env{"BINJET_SOURCE_DSN": d.DSN("shop"), "BINJET_NATS_URL": ns.URL(), "BINJET_RELAY_HEARTBEAT": "200ms", "BINJET_NATS_NKEY": file}
	e.ok(t, "init")
	p := e.start(t)
	p.leads(t)
	write(t, file, seed(t, second))
	ns.Restart()
	p.answers(t, 503, "another key is another user, restart to log in as it")
	write(t, file, seed(t, first))
	p.leads(t)
	p.stop(t)
	write(t, file, seed(t, second))
	p = e.start(t)
	p.leads(t)
	p.stop(t)
}

func passwordLogin() login {
	return login{key: "BINJET_NATS_PASSWORD_FILE", user: "u", first: "one\n", second: "two\n",
		serve: func(o *server.Options, n int) { o.Username, o.Password = "u", []string{"one", "two"}[n] }}
}

func tokenLogin() login {
	return login{key: "BINJET_NATS_TOKEN_FILE", first: "one", second: "two",
		serve: func(o *server.Options, n int) { o.Authorization = []string{"one", "two"}[n] }}
}

// credsLogin is operator mode: the account revokes the first user later.
func credsLogin(t *testing.T) login {
	t.Helper()
	operator, err := nkeys.CreateOperator()
	must(t, err)
	account, err := nkeys.CreateAccount()
	must(t, err)
	first, second := newUser(t), newUser(t)
	id, op := public(t, account), jwt.NewOperatorClaims(public(t, operator))
	system, systemAccount := systemAccount(t, operator)
	op.SystemAccount = system
	accounts := make([]string, 2)
	for n, revoked := range []string{public(t, second), public(t, first)} {
		claims := jwt.NewAccountClaims(id)
		claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
		claims.Revoke(revoked)
		accounts[n], err = claims.Encode(operator)
		must(t, err)
	}
	return login{key: "BINJET_NATS_CREDS", first: creds(t, account, first), second: creds(t, account, second),
		serve: func(o *server.Options, n int) {
			o.TrustedOperators, o.SystemAccount = []*jwt.OperatorClaims{op}, system
			resolver := &server.MemAccResolver{}
			must(t, resolver.Store(id, accounts[n]))
			must(t, resolver.Store(system, systemAccount))
			o.AccountResolver = resolver
		}}
}

// systemAccount is what JetStream needs in operator mode.
func systemAccount(t *testing.T, operator nkeys.KeyPair) (id, token string) {
	t.Helper()
	pair, err := nkeys.CreateAccount()
	must(t, err)
	id = public(t, pair)
	token, err = jwt.NewAccountClaims(id).Encode(operator)
	must(t, err)
	return id, token
}

func creds(t *testing.T, account, user nkeys.KeyPair) string {
	t.Helper()
	token, err := jwt.NewUserClaims(public(t, user)).Encode(account)
	must(t, err)
	text, err := jwt.FormatUserConfig(token, []byte(seed(t, user)))
	must(t, err)
	return string(text)
}

func newUser(t *testing.T) nkeys.KeyPair {
	t.Helper()
	user, err := nkeys.CreateUser()
	must(t, err)
	return user
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	must(t, err)
	return key
}

func seed(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	text, err := pair.Seed()
	must(t, err)
	return string(text)
}

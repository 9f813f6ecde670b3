package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dsn = "app:s3cret@tcp(db:3307)/shop"

// write puts text into a file of its own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, in Input) Config {
	t.Helper()
	c, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// faults loads what must be refused.
func faults(t *testing.T, in Input) []string {
	t.Helper()
	_, err := Load(in)
	var faulty *Error
	if !errors.As(err, &faulty) {
		t.Fatalf("error is %T %v, not *Error", err, err)
	}
	list := make([]string, 0, len(faulty.Faults))
	for _, f := range faulty.Faults {
		list = append(list, f.String())
	}
	return list
}

func TestPrecedence(t *testing.T) {
	file := write(t, "f.yaml", "stream: {name: FILE, replicas: 2}\nlog: {level: warn}\n")
	in := Input{File: file, Environ: []string{"BINJET_SOURCE_DSN=" + dsn}}
	want := func(layer, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %q, want %q", layer, got, want)
		}
	}
	c := load(t, in)
	want("default", c.Stream.SubjectPrefix, "outbox")
	want("file", c.Stream.Name, "FILE")
	want("derived", c.Source.Name, "shop")
	want("file that was read", c.File, file)
	in.Environ = append(in.Environ, "BINJET_STREAM_NAME=ENV", "PATH=/bin")
	want("environment", load(t, in).Stream.Name, "ENV")
	in.Flags = map[string]string{"stream": "FLAG"}
	c = load(t, in)
	want("flag", c.Stream.Name, "FLAG")
	if c.Stream.Replicas != 2 || c.Log.Level != "warn" {
		t.Errorf("other keys of the file are lost: %+v", c)
	}
}

func TestFileByEnvironmentAndByDefault(t *testing.T) {
	file := write(t, DefaultFile, "source: {dsn: '"+dsn+"', name: fromfile}\n")
	if c := load(t, Input{Environ: []string{"BINJET_CONFIG=" + file}}); c.Source.Name != "fromfile" {
		t.Errorf("BINJET_CONFIG: %q", c.Source.Name)
	}
	t.Chdir(filepath.Dir(file))
	if c := load(t, Input{}); c.Source.Name != "fromfile" {
		t.Errorf("default file: %q", c.Source.Name)
	}
	if got := faults(t, Input{File: "absent.yaml"}); !strings.Contains(got[0], "absent.yaml") {
		t.Errorf("absent file: %q", got)
	}
}

func TestEveryType(t *testing.T) {
	c := load(t, Input{File: write(t, "f.yaml", `
source:
  dsn: `+dsn+`
  server_id: 4000000000
  tables: [outbox, "other.outbox"]
  heartbeat: 500ms
  max_transaction_bytes: 1.5MiB
  columns: {key: "-", payload: body}
  start: 0-1-7,1-2-3
nats:
  url:
  - nats://a:4222
  - b
stream: {manage: false, partitions: 8}
`)})
	s := c.Source
	if s.ServerID != 4000000000 || !slices.Equal(s.Tables, []string{"outbox", "other.outbox"}) || s.Heartbeat != 500*time.Millisecond ||
		s.MaxTransactionBytes != 3<<19 || s.Columns.Key != "-" || s.Columns.Payload != "body" || s.Start != "0-1-7,1-2-3" {
		t.Errorf("source: %+v", s)
	}
	if !slices.Equal(c.NATS.URL, []string{"nats://a:4222", "b"}) || c.Stream.Manage || c.Stream.Partitions != 8 {
		t.Errorf("nats: %+v, stream: %+v", c.NATS, c.Stream)
	}
	if got := load(t, Input{Environ: []string{"BINJET_SOURCE_DSN=" + dsn, "BINJET_SOURCE_TABLES=a, b"}}).Source.Tables; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("list of the environment: %q", got)
	}
}

// Every fault is told at once, each by its key.
func TestFaultsAtOnce(t *testing.T) {
	got := faults(t, Input{
		File: write(t, "f.yaml", `
source:
  tabels: [outbox]
  heartbeat: fast
  flavor: oracle
  columns: {id: "-", topic: payload}
relay: {heartbeat: 1ms}
stream: {name: "a b", subject_prefix: binjet, replicas: 9}
stuff: {}
nats: {url: "http://x", creds: /absent, token: t0ken}
`),
		Environ: []string{"BINJET_STREAM_PARTITIONS=-1", "BINJET_SOURCE_DSNN=x"},
		Flags:   map[string]string{"http-listen": "nowhere", "log-format": "xml", "tables": "a;b"},
	})
	for _, want := range []string{
		"f.yaml:3: unknown key source.tabels: did you mean source.tables?", `source.heartbeat`, "source.dsn is missing", "source.flavor",
		"source.columns.id", "source.columns.topic", "relay.heartbeat", "stream.name", "stream.subject_prefix", "stream.replicas",
		"f.yaml:9: unknown key stuff", "nats.url", "nats.creds", "nats.token", "stream.partitions (BINJET_STREAM_PARTITIONS)",
		"environment variable BINJET_SOURCE_DSNN is none of binjet's: did you mean BINJET_SOURCE_DSN?",
		"http.listen (--http-listen)", "log.format (--log-format)", "source.tables (--tables)",
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("no fault holds %q in:\n%s", want, strings.Join(got, "\n"))
		}
	}
}

func TestDatabase(t *testing.T) {
	pw := write(t, "pw", "from file\n")
	for name, test := range map[string]struct {
		environ []string
		want    Database
		tls     string // server name
		fault   string
	}{
		"tcp":             {environ: []string{"BINJET_SOURCE_DSN=" + dsn}, want: Database{Net: "tcp", Addr: "db:3307", User: "app", Password: "s3cret", Name: "shop"}},
		"unix":            {environ: []string{"BINJET_SOURCE_DSN=app@unix(/run/my.sock)/shop"}, want: Database{Net: "unix", Addr: "/run/my.sock", User: "app", Name: "shop"}},
		"dsn file":        {environ: []string{"BINJET_SOURCE_DSN_FILE=" + write(t, "dsn", dsn+"\n")}, want: Database{Net: "tcp", Addr: "db:3307", User: "app", Password: "s3cret", Name: "shop"}},
		"password file":   {environ: []string{"BINJET_SOURCE_DSN=app@tcp(db)/shop", "BINJET_SOURCE_PASSWORD_FILE=" + pw}, want: Database{Net: "tcp", Addr: "db:3306", User: "app", Password: "from file", Name: "shop"}},
		"tls=true":        {environ: []string{"BINJET_SOURCE_DSN=app@tcp(db)/shop?tls=true"}, want: Database{Net: "tcp", Addr: "db:3306", User: "app", Name: "shop"}, tls: "db"},
		"tls block":       {environ: []string{"BINJET_SOURCE_DSN=app@tcp(db)/shop", "BINJET_SOURCE_TLS_ENABLED=true"}, want: Database{Net: "tcp", Addr: "db:3306", User: "app", Name: "shop"}, tls: "db"},
		"two passwords":   {environ: []string{"BINJET_SOURCE_DSN=" + dsn, "BINJET_SOURCE_PASSWORD_FILE=" + pw}, fault: "source.password_file"},
		"tls=preferred":   {environ: []string{"BINJET_SOURCE_DSN=app:s3cret@tcp(db)/shop?tls=preferred"}, fault: "tls=preferred"},
		"tls=custom":      {environ: []string{"BINJET_SOURCE_DSN=app:s3cret@tcp(db)/shop?tls=custom"}, fault: "tls parameter"},
		"tls twice":       {environ: []string{"BINJET_SOURCE_DSN=" + dsn + "?tls=true", "BINJET_SOURCE_TLS_ENABLED=true"}, fault: "keep one"},
		"no slash":        {environ: []string{"BINJET_SOURCE_DSN=app:s3cret@tcp(db)"}, fault: "slash"},
		"slash in passwd": {environ: []string{"BINJET_SOURCE_DSN=app:s3/cret@tcp(db)"}, fault: "is no user:password"},
		"no user":         {environ: []string{"BINJET_SOURCE_DSN=tcp(db)/shop"}, fault: "no user"},
		"bad parameter":   {environ: []string{"BINJET_SOURCE_DSN=" + dsn + "?parseTime=s3cret"}, fault: "parameters"},
		"other network":   {environ: []string{"BINJET_SOURCE_DSN=app:s3cret@pipe(x)/shop"}, fault: "something else than tcp(host:port)"},
		"no @":            {environ: []string{"BINJET_SOURCE_DSN=app:s3cret(x)/shop"}, fault: "something else than tcp(host:port)"},
		"no database":     {environ: []string{"BINJET_SOURCE_DSN=app:s3cret@tcp(db)/"}, fault: "source.name"},
		"bad database":    {environ: []string{"BINJET_SOURCE_DSN=app:s3cret@tcp(db)/my.shop"}, fault: "source.name"},
		"absent file":     {environ: []string{"BINJET_SOURCE_DSN_FILE=/absent"}, fault: "source.dsn_file (BINJET_SOURCE_DSN_FILE) can't be read"},
		"empty file":      {environ: []string{"BINJET_SOURCE_DSN_FILE=" + write(t, "empty", "\n")}, fault: "empty file"},
		"both":            {environ: []string{"BINJET_SOURCE_DSN=" + dsn, "BINJET_SOURCE_DSN_FILE=" + pw}, fault: "both set"},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{File: write(t, "f.yaml", ""), Environ: test.environ}
			if test.fault != "" {
				got := strings.Join(faults(t, in), "\n")
				if !strings.Contains(got, test.fault) || strings.Contains(got, "s3cret") || strings.Contains(got, "cret@") {
					t.Errorf("faults: %s", got)
				}
				return
			}
			got := load(t, in).Database
			if (got.TLS != nil) != (test.tls != "") || got.TLS != nil && got.TLS.ServerName != test.tls {
				t.Errorf("TLS: %+v", got.TLS)
			}
			if got.TLS, got.renewal = nil, (renewal{}); got != test.want {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

func TestBrokerLogin(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	text, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	seed := write(t, "seed", string(text)+"\n")
	for name, test := range map[string]struct {
		environ []string
		fault   string
	}{
		"nkey":           {environ: []string{"BINJET_NATS_NKEY=" + seed}},
		"token file":     {environ: []string{"BINJET_NATS_TOKEN_FILE=" + seed}},
		"no seed":        {environ: []string{"BINJET_NATS_NKEY=" + write(t, "no", "s3cret")}, fault: "holds no NKey seed"},
		"no user":        {environ: []string{"BINJET_NATS_PASSWORD=s3cret"}, fault: "nats.user is missing"},
		"no password":    {environ: []string{"BINJET_NATS_USER=u"}, fault: "nats.password is missing"},
		"absent creds":   {environ: []string{"BINJET_NATS_CREDS=/absent"}, fault: "does not exist"},
		"two ways":       {environ: []string{"BINJET_NATS_NKEY=" + seed, "BINJET_NATS_TOKEN=s3cret"}, fault: "different ways to log in"},
		"bad URL":        {environ: []string{"BINJET_NATS_URL=nats://a,nats://u:s3cret@:x"}, fault: "nats.url (BINJET_NATS_URL) 2 is no address"},
		"cert, no key":   {environ: []string{"BINJET_NATS_TLS_CERT=x"}, fault: "nats.tls needs cert and key together"},
		"no CA":          {environ: []string{"BINJET_NATS_TLS_CA=" + seed}, fault: "nats.tls.ca (BINJET_NATS_TLS_CA) holds no PEM certificate"},
		"TLS off and on": {environ: []string{"BINJET_NATS_TLS_ENABLED=false", "BINJET_NATS_TLS_SERVER_NAME=x"}, fault: "nats.tls.enabled"},
	} {
		in := Input{Environ: append(test.environ, "BINJET_SOURCE_DSN="+dsn)}
		if test.fault == "" {
			if b := load(t, in).Broker; b.NKey == nil && b.Token == "" {
				t.Errorf("%s: %+v", name, b)
			}
		} else if got := strings.Join(faults(t, in), "\n"); !strings.Contains(got, test.fault) || strings.Contains(got, "s3cret") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A variable replaces what the file says of a secret, whichever of the two keys it is.
func TestHigherLayerReplacesSecret(t *testing.T) {
	file := write(t, "f.yaml", "source: {dsn_file: /absent}\nnats: {user: u, password: old}\n")
	c := load(t, Input{File: file, Environ: []string{"BINJET_SOURCE_DSN=" + dsn, "BINJET_NATS_PASSWORD_FILE=" + write(t, "pw", "new\n")}})
	if c.Database.Password != "s3cret" || c.Broker.Password != "new" {
		t.Errorf("database %q, broker %q", string(c.Database.Password), string(c.Broker.Password))
	}
}

// No way of printing a configuration shows a secret.
func TestSecretsAreNotPrinted(t *testing.T) {
	c := load(t, Input{Environ: []string{"BINJET_SOURCE_DSN=" + dsn, "BINJET_NATS_TOKEN=s3cret"}})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{c, &c, c.Source.DSN, c.Broker} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "s3cret") || strings.Contains(text, "733363726574") {
				t.Errorf("%s of %T shows it: %s", verb, v, text)
			}
		}
	}
}

func TestForeignVariables(t *testing.T) {
	load(t, Input{Environ: []string{"BINJET_SOURCE_DSN=" + dsn, "BINJET_TEST_X=1", "BINJET_DEMO_X=1", "BINJET_MYSQL_IMAGE=x", "BINJET_MARIADB_IMAGE=x", "BINJET_NATS_IMAGE=x",
		"BINJET_SERVICE_HOST=10.0.0.1", "BINJET_SERVICE_PORT=1", "BINJET_SERVICE_PORT_HTTP=1", "BINJET_PORT=tcp://x", "BINJET_PORT_9188_TCP=x",
		"BINJET_PORT_9188_TCP_ADDR=x", "BINJET_NATS_PORT_4222_TCP_PROTO=tcp", "BINJET_NATS_SERVICE_HOST=x"}})
	for _, k := range Keys() {
		if foreignEnv(k.Env) {
			t.Errorf("%s would be ignored", k.Env)
		}
	}
}

// The table and the struct can't drift apart: every leaf has its key, can be set by
// its variable, and says what it is.
func TestKeysAreComplete(t *testing.T) {
	leaves, flags := 0, make(map[string]bool)
	var count func(reflect.Type)
	count = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			switch {
			case f.Tag.Get("key") == "-":
			case f.Type.Kind() == reflect.Struct:
				count(f.Type)
			default:
				leaves++
				if secret := f.Type == reflect.TypeFor[Secret](); secret && f.Tag.Get("secret") != "true" {
					t.Errorf("%s.%s is a Secret without the tag", typ, f.Name)
				}
			}
		}
	}
	count(reflect.TypeFor[Config]())
	keys := Keys()
	if len(keys) != leaves {
		t.Errorf("%d keys for %d fields", len(keys), leaves)
	}
	sample := map[reflect.Type]string{reflect.TypeFor[bool](): "true", reflect.TypeFor[int](): "3", reflect.TypeFor[uint32](): "3",
		reflect.TypeFor[time.Duration](): "7s", reflect.TypeFor[Bytes](): "7KiB", reflect.TypeFor[Share](): "0.5"}
	for _, k := range keys {
		l := &loader{keys: keys, origin: make(map[string]origin)}
		text, ok := sample[l.field(k).Type()]
		switch {
		case len(k.Enum) > 0:
			text = k.Enum[0]
		case !ok:
			text = "x"
		}
		if k.Type == Number && k.Unit == "" {
			t.Errorf("%s is a number of what? Give it a unit", k.Name)
		}
		l.environ([]string{k.Env + "=" + text})
		if len(l.faults) > 0 || l.field(k).IsZero() || k.Help == "" {
			t.Errorf("%s by %s: faults %q, value %v, help %q", k.Name, k.Env, l.faults, l.field(k), k.Help)
		}
		if k.Flag != "" && flags[k.Flag] {
			t.Errorf("--%s is two keys", k.Flag)
		}
		flags[k.Flag] = true
	}
}

func TestDefaultsAreTheLibraries(t *testing.T) {
	c := load(t, Input{Environ: []string{"BINJET_SOURCE_DSN=" + dsn}})
	if c.Stream.Name != binjet.DefaultStream || c.Stream.SubjectPrefix != binjet.DefaultSubjectPrefix || c.Source.Tables[0] != binjet.DefaultTable {
		t.Errorf("%+v", c)
	}
	want := Columns{binjet.ColumnID, binjet.ColumnTopic, binjet.ColumnKey, binjet.ColumnHeaders, binjet.ColumnPayload, binjet.ColumnCreatedAt, "-"}
	if c.Source.Columns != want || DefaultColumns() != want {
		t.Errorf("columns: %+v", c.Source.Columns)
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "512": 512, "1KB": 1000, "1KiB": 1024, "16 MiB": 16 << 20, "1.5gib": 3 << 29, "2GB": 2e9} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
		if back, err := ParseBytes(want.String()); err != nil || back != want {
			t.Errorf("%s: %d, %v", want, back, err)
		}
	}
	for _, text := range []string{"", "MiB", "1.5", "-1", "1 x", "1e30", "9999999999GiB", "1..2"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestBadYAML(t *testing.T) {
	for text, want := range map[string]string{
		"- a\n":                         "f.yaml:1: the file is no block of keys",
		"source: 3\n":                   "source is no block of keys",
		"a: [1\n":                       "is no YAML",
		"log: {level: info}\nlog: {}":   "already defined",
		"log: {level: [info]}\n":        "log.level takes a single value",
		"log: &x {level: info}\n":       "no block of keys",
		"log: {level: &x info}\n":       "anchor",
		"log: {level: info}\n---\na: 1": "second document",
		"source: {dsn: \"s3cret\n":      "is no YAML",
	} {
		got := strings.Join(faults(t, Input{File: write(t, "f.yaml", text), Environ: []string{"BINJET_SOURCE_DSN=" + dsn}}), "\n")
		if !strings.Contains(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte("source:\n  tables: [a, b]\n  tls: {ca: x}\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		l := &loader{keys: Keys(), origin: make(map[string]origin)}
		l.yaml("f.yaml", data)
	})
}

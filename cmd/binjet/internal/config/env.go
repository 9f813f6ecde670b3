package config

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
)

// environ reads the variables that begin with [EnvPrefix]. One that is no key is
// a fault, since a misspelled key that is ignored is the worst kind of default.
func (l *loader) environ(environ []string) {
	byEnvName := make(map[string]Key, len(l.keys))
	names := make([]string, 0, len(l.keys))
	for _, k := range l.keys {
		byEnvName[k.Env] = k
		names = append(names, k.Env)
	}
	vars := append([]string(nil), environ...)
	sort.Strings(vars)
	for _, kv := range vars {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, EnvPrefix) || foreignEnv(name) {
			continue
		}
		if k, ok := byEnvName[name]; ok {
			l.set(k, value, origin{rank: byEnv, text: name})
			continue
		}
		problem := fmt.Sprintf("environment variable %s is none of binjet's", name)
		if near := suggest(name, names); near != "" {
			problem += ": did you mean " + near + "?"
		}
		l.faults = append(l.faults, Fault{Problem: problem})
	}
}

// foreignEnv reports whether a variable that begins with BINJET_ is not a key and
// none of our business: the name of the file; what only tests and the demo read
// (BINJET_TEST_…, BINJET_DEMO_…, BINJET_MYSQL_…, BINJET_MARIADB_…); the images of
// docker-compose.yml (BINJET_NATS_IMAGE, …); and what
// Kubernetes and Docker put into every container that can see a service whose
// name begins with "binjet" (BINJET_SERVICE_HOST, BINJET_PORT_9188_TCP, …).
func foreignEnv(name string) bool {
	if name == FileEnv {
		return true
	}
	for _, prefix := range []string{"TEST_", "DEMO_", "MYSQL_", "MARIADB_"} {
		if strings.HasPrefix(name, EnvPrefix+prefix) {
			return true
		}
	}
	return regexp.MustCompile(`_IMAGE$|_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`).MatchString(name)
}

package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
)

const (
	writers   = 4
	heartbeat = 250 * time.Millisecond // a restarted streamer takes over after three of them
	patience  = 30 * time.Second       // with nothing moving at all, the demo gives up waiting
)

// settings are what can be chosen.
type settings struct {
	flavor dbserver.Flavor // of the throw-away server
	dsn    string          // of a server to use instead
	events int
	rate   int // events per second
	kills  int
}

const usage = `The binjet demo: writers commit orders with their events, binjet streams them,
a reader handles them; meanwhile the streamer is killed again and again. At the
end the outbox table, the stream and the reader's table are compared.

Environment:
  BINJET_DEMO_SERVER  mysql or mariadb: the throw-away server to start (default mysql)
  BINJET_DEMO_DSN     a server to use instead, as user:password@tcp(host:3306)/.
                      The demo makes a database binjet_demo_… there and drops it again.
                      The user needs ALL ON %[1]sbinjet\_demo\_%%%[1]s.* and REPLICATION SLAVE ON *.*.
Flags:
`

// parseSettings reads flags and environment. The error is flag.ErrHelp when help
// was asked for.
func parseSettings(args []string, getenv func(string) string) (settings, error) {
	s := settings{flavor: dbserver.Flavor(getenv("BINJET_DEMO_SERVER")), dsn: getenv("BINJET_DEMO_DSN")}
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), usage, "`")
		flags.PrintDefaults()
	}
	flags.IntVar(&s.events, "events", 20_000, "events to commit")
	flags.IntVar(&s.rate, "rate", 800, "events to commit per second")
	flags.IntVar(&s.kills, "kills", 3, "how often the streamer is killed")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.flavor == "" {
		s.flavor = dbserver.MySQL
	}
	return s, s.validate()
}

func (s settings) validate() error {
	switch {
	case s.flavor != dbserver.MySQL && s.flavor != dbserver.MariaDB:
		return fmt.Errorf("BINJET_DEMO_SERVER is %q: use mysql or mariadb", string(s.flavor))
	case s.events < writers || s.rate < 1 || s.kills < 0:
		return fmt.Errorf("-events has to be at least %d, -rate at least 1, -kills at least 0", writers)
	case s.events < 3*s.rate*s.kills:
		return errors.New("too few events to kill the streamer so often under load: 3 seconds are needed for each kill; lower -kills or -rate, or raise -events")
	}
	return nil
}

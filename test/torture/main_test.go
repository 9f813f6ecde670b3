package torture

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/rs/zerolog"
)

var (
	duration = flag.Duration("duration", 8*time.Second, "how long faults go on, in each run")
	seed     = flag.Uint64("seed", 1, "of everything that is drawn by chance")
	all      = flag.Bool("all", false, "both flavours with one NATS node and with three, and faults that need a second database, file systems and clocks of their own")
	faults   = flag.String("faults", "", "a regular expression: only the faults whose names it finds")
	keep     = flag.String("keep", "", "directory for the history and the logs, also of a run that passes; it is emptied")
)

// childEnv names what this program is when it is not the test.
const childEnv = "BINJET_TEST_TORTURE"

// mutantEnv names the rule that a mutant breaks: of relay/mutant_on.go, or earlyMark.
const mutantEnv = "BINJET_TEST_MUTANT"

// streamer is the binjet command, built once.
var streamer string

func TestMain(m *testing.M) {
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // lost connections are what this is about
	zerolog.SetGlobalLevel(zerolog.Disabled)        // toxiproxy's
	switch child := os.Getenv(childEnv); child {
	case "":
	case "nats":
		exitOn(runNATS(os.Getenv("NATS_OPTIONS")))
	case "handler":
		exitOn(runHandler())
	default:
		exitOn(fmt.Errorf("%s=%q is unknown", childEnv, child))
	}
	flag.Parse()
	if *all {
		exitIf(runPrivately())
	}
	dir, err := os.MkdirTemp("", "binjet-torture-")
	if err == nil {
		streamer = filepath.Join(dir, "binjet")
		if *all {
			err = buildWithClock(streamer)
		} else {
			err = build(streamer)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build makes the streamer; tags choose a mutant of it.
func build(path string, tags ...string) error {
	args := append([]string{"build", "-o", path}, tags...)
	if out, err := exec.Command("go", append(args, "github.com/binjet/binjet/cmd/binjet")...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the streamer: %w\n%s", err, out)
	}
	return nil
}

func exitIf(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func exitOn(err error) {
	exitIf(err)
	os.Exit(0)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

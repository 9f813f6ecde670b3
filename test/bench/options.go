package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the command's flags.
type options struct {
	only                   []string
	server                 string
	rows                   int
	sizes, perTx, replicas []int
	rounds                 int
	rates                  []int
	latencyFor             time.Duration
	noiseRows, hugeRows    int
	snapshotRows, peerRows int
	takeOvers              int
	quiet                  time.Duration // after which a peer has published all that it will
	heartbeat              time.Duration // 0: the default
	durable, apart         bool
	json, markdown         string
	profile                string
}

// ints is a flag with numbers that are separated by commas.
type ints struct{ list *[]int }

func (f ints) String() string {
	if f.list == nil {
		return ""
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(*f.list), " ", ","), "[]")
}

func (f ints) Set(s string) error {
	*f.list = nil
	for _, one := range strings.Split(s, ",") {
		n, err := strconv.Atoi(one)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no positive number", one)
		}
		*f.list = append(*f.list, n)
	}
	return nil
}

func parseOptions(args []string) (options, error) {
	o := options{sizes: []int{256, 4096}, perTx: []int{1, 100}, replicas: []int{1, 3}, rates: []int{100, 1000, 5000}, quiet: 6 * time.Second}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	var only string
	smoke := f.Bool("smoke", false, "every part once with next to nothing, to see that it works; the numbers say nothing")
	f.StringVar(&only, "only", "", "parts to run, separated by commas: "+partNames())
	f.StringVar(&o.server, "server", "mysql", "mysql or mariadb")
	f.IntVar(&o.rows, "rows", 1_000_000, "rows of a backlog")
	f.Var(ints{&o.sizes}, "sizes", "payload sizes of backlogs, in bytes")
	f.Var(ints{&o.perTx}, "per-tx", "rows of a transaction of backlogs")
	f.Var(ints{&o.replicas}, "replicas", "replicas of the stream: so many NATS servers")
	f.IntVar(&o.rounds, "rounds", 3, "turns of each in a drain; medians count")
	f.Var(ints{&o.rates}, "rates", "transactions a second at which latency is measured")
	f.DurationVar(&o.latencyFor, "latency-for", 10*time.Second, "how long at each rate")
	f.IntVar(&o.noiseRows, "noise-rows", 500_000, "transactions, one in a hundred of which is an event")
	f.IntVar(&o.hugeRows, "huge-rows", 2_000_000, "rows of the huge transaction")
	f.IntVar(&o.snapshotRows, "snapshot-rows", 200_000, "rows of the snapshot")
	f.IntVar(&o.takeOvers, "takeovers", 5, "how often the leader is killed")
	f.IntVar(&o.peerRows, "peer-rows", 50_000, "rows of the backlogs that the peers drain")
	f.BoolVar(&o.durable, "durable", false, "commits of the database reach the disk")
	f.BoolVar(&o.apart, "apart", false, "NATS servers have one half of the processors, everything else the other: as where the broker is another machine")
	f.StringVar(&o.json, "json", "", "file for everything that was measured, as JSON")
	f.StringVar(&o.markdown, "markdown", "", "file for the tables, as Markdown")
	f.StringVar(&o.profile, "profile", "", "directory for CPU profiles of binjet run; the command is built for it")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *smoke {
		o.smoke()
		if err := f.Parse(args); err != nil { // what was given wins
			return o, err
		}
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(parts(), func(p part) bool { return p.name == name }) {
			err := fmt.Errorf("-only: there is no part %q; there are %s", name, partNames())
			fmt.Fprintln(f.Output(), err)
			return o, err
		}
	}
	return o, nil
}

func (o *options) smoke() {
	o.rows, o.rounds, o.sizes, o.perTx, o.replicas = 3000, 1, []int{256}, []int{1}, []int{3}
	o.rates, o.latencyFor = []int{200}, time.Second
	o.heartbeat, o.quiet = 100*time.Millisecond, 2*time.Second
	o.noiseRows, o.hugeRows, o.snapshotRows, o.peerRows, o.takeOvers = 3000, 3000, 3000, 1000, 1
}

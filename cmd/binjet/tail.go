package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/cmd/binjet/internal/event"
)

// tailFilter are the flags of tail.
type tailFilter struct {
	topics, keys, sources, headers []string
	since                          string
	from                           uint64
	all, noFollow                  bool
	count                          int
}

func newTail(p process) *cobra.Command {
	var f tailFilter
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show events as they are published",
		Long: `Show events as they are published, until interrupted: those to come, or from a time or a
sequence on. Payloads are decoded by their Content-Type: JSON and MessagePack as JSON,
Protobuf by its field numbers, text as it is, anything else as a hex dump.

No consumer is disturbed: it reads through a consumer of its own, which acknowledges
nothing and which the broker forgets a few minutes after this ends.

With -o json there is one document per line.`,
		Example: "  binjet tail --topic 'orders.>'\n  binjet tail --since 10m --key 42 --no-follow\n  binjet tail --all -o json --no-follow | jq -r .topic | sort | uniq -c",
		Args:    noArguments,
		RunE: visiting(p, false, func(v *visit, _ []string) error {
			cfg, err := f.start(time.Now())
			if err != nil {
				return err
			}
			return v.tail(f, cfg)
		}),
	}
	addSettings(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.topics, "topic", nil, "only this topic, or pattern of topics: orders.*, orders.>; may be given again")
	flags.StringArrayVar(&f.keys, "key", nil, "only this ordering key; may be given again")
	flags.StringArrayVar(&f.sources, "source", nil, "only of this source; may be given again")
	flags.StringArrayVar(&f.headers, "header", nil, "only with this header, name=value or name; may be given again, and then all must fit")
	flags.StringVar(&f.since, "since", "", "begin with what was published then: 10m ago, or 2026-01-31T12:00:00Z")
	flags.Uint64Var(&f.from, "from", 0, "begin with this sequence")
	flags.BoolVar(&f.all, "all", false, "begin with the oldest event that the stream holds")
	flags.BoolVar(&f.noFollow, "no-follow", false, "end with what is published when it begins")
	flags.IntVarP(&f.count, "count", "n", 0, "end after so many; 0 for no end")
	_ = cmd.RegisterFlagCompletionFunc("source", completeSources())
	return cmd
}

// start is where to begin.
func (f *tailFilter) start(now time.Time) (cfg jetstream.OrderedConsumerConfig, err error) {
	given := 0
	for _, is := range []bool{f.since != "", f.from > 0, f.all} {
		if is {
			given++
		}
	}
	if given > 1 {
		return cfg, errors.New("give one of --since, --from and --all")
	}
	cfg.DeliverPolicy = jetstream.DeliverNewPolicy
	switch {
	case f.since != "":
		at, err := moment(f.since, now)
		if err != nil {
			return cfg, fmt.Errorf("--since: %w", err)
		}
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	case f.from > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, f.from
	case f.all:
		cfg.DeliverPolicy = jetstream.DeliverAllPolicy
	case f.noFollow:
		return cfg, errors.New("--no-follow shows nothing of what is to come: give --since, --from or --all")
	}
	return cfg, nil
}

// fits decides what the broker can't.
func (f *tailFilter) fits(e *event.Event) bool {
	has := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	if !has(f.keys, e.Key) || !has(f.sources, e.Source) {
		return false
	}
	for _, want := range f.headers {
		name, value, exact := strings.Cut(want, "=")
		values, ok := e.Headers[name]
		if !ok || exact && !slices.Contains(values, value) {
			return false
		}
	}
	return true
}

// subjects are those of the topics, with or without partitions.
func (f *tailFilter) subjects(prefix string, partitioned bool) ([]string, error) {
	if partitioned {
		prefix += ".*"
	}
	if len(f.topics) == 0 {
		return []string{prefix + ".>"}, nil
	}
	list := make([]string, 0, len(f.topics))
	for _, topic := range f.topics {
		plain := strings.NewReplacer("*", "x", ">", "x").Replace(topic)
		if err := binjet.CheckTopic(plain); err != nil {
			return nil, fmt.Errorf("--topic %q: %w", topic, err)
		}
		list = append(list, prefix+"."+topic)
	}
	return list, nil
}

func (v *visit) tail(f tailFilter, cfg jetstream.OrderedConsumerConfig) error {
	nc, js, err := v.broker()
	if err != nil {
		return failed(err)
	}
	defer nc.Close()
	stream, err := js.Stream(v.ctx, v.cfg.Stream.Name)
	if err != nil {
		return failed(natsError(nc, fmt.Errorf("look up stream %s: %w", v.cfg.Stream.Name, err)))
	}
	n := stream.CachedInfo().Config.Metadata[binjet.MetadataPartitions]
	partitioned := n != "" && n != "0"
	if cfg.FilterSubjects, err = f.subjects(v.cfg.Stream.SubjectPrefix, partitioned); err != nil {
		return err
	}
	c, err := js.OrderedConsumer(v.ctx, v.cfg.Stream.Name, cfg)
	if err != nil {
		return failed(natsError(nc, err))
	}
	info := c.CachedInfo()
	if f.noFollow && info.NumPending == 0 {
		return nil
	}
	messages, err := c.Messages()
	if err != nil {
		return failed(err)
	}
	defer messages.Stop()
	err = v.follow(f, messages, partitioned)
	if errors.Is(err, context.Canceled) && v.ctx.Err() != nil {
		return nil // interrupted, as a tail ends
	}
	return failed(err)
}

func (v *visit) follow(f tailFilter, messages jetstream.MessagesContext, partitioned bool) error {
	for shown := 0; ; {
		msg, err := messages.Next(jetstream.NextContext(v.ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		e := event.FromStream(msg, meta, v.cfg.Stream.SubjectPrefix, partitioned)
		if f.fits(&e) {
			if err := emitLine(v.cmd, e, e.Text); err != nil {
				return err
			}
			shown++
		}
		if f.count > 0 && shown >= f.count || f.noFollow && meta.NumPending == 0 {
			return nil
		}
	}
}

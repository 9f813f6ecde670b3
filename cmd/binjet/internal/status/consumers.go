package status

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
)

// readerMark is in the name of what an ordered consumer reads a share through, and
// in no name that a user can choose.
const readerMark = "~"

// Consumers lists those of a stream that last: durable ones, and ordered ones by their
// records. It changes nothing.
func Consumers(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream) (found []Consumer, err error) {
	readers := make(map[string]*jetstream.ConsumerInfo)
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		switch {
		case strings.Contains(info.Name, readerMark):
			readers[info.Name] = info
		case info.Config.Durable != "":
			found = append(found, durable(info))
		}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the consumers: %w", err)
	}
	ordered, err := consumer.OrderedConsumers(ctx, js, stream.CachedInfo().Config.Name)
	if err != nil {
		return nil, err
	}
	for i := range ordered {
		found = append(found, summed(&ordered[i], readers))
	}
	return found, nil
}

func durable(info *jetstream.ConsumerInfo) Consumer {
	one := Consumer{Name: info.Name, Topics: info.Config.FilterSubjects, Pending: info.NumPending, Unacked: uint64(info.NumAckPending),
		Redelivered: uint64(info.NumRedelivered), AckFloor: info.AckFloor.Stream, PendingKnown: true, Waiting: info.NumWaiting, Paused: info.Paused}
	if info.Config.FilterSubject != "" {
		one.Topics = []string{info.Config.FilterSubject}
	}
	for _, at := range []*time.Time{info.Delivered.Last, info.AckFloor.Last} {
		if at != nil && at.After(one.LastActive) {
			one.LastActive = *at
		}
	}
	return one
}

// summed adds the shares of an ordered consumer up. What is pending of a share only
// its reader knows.
func summed(order *consumer.OrderedStatus, readers map[string]*jetstream.ConsumerInfo) Consumer {
	one := Consumer{Name: order.Name, Ordered: true, Topics: order.Topics, Order: order, PendingKnown: len(order.Shares) >= max(order.Partitions, 1)}
	for i, share := range order.Shares {
		if floor := share.Floor - 1; i == 0 || floor < one.AckFloor {
			one.AckFloor = floor
		}
		one.Unacked += uint64(share.Unfinished)
		if share.At.After(one.LastActive) {
			one.LastActive = share.At
		}
		reader := readers[share.Reader]
		if reader == nil {
			one.PendingKnown = false
			continue
		}
		one.Pending += reader.NumPending
		one.Waiting += reader.NumWaiting
	}
	return one
}

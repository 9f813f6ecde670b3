package consumer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

// OrderedStatus is an ordered consumer as its records in the bucket
// binjet-consumers show it, whichever processes it runs in.
type OrderedStatus struct {
	Name string `json:"name"`
	// Partitions is how many the stream has; with 0 there is one share.
	Partitions int `json:"partitions"`
	// Topics are the patterns of the member that started last.
	Topics  []string        `json:"topics"`
	Members []OrderedMember `json:"members"`
	// Shares are those that were worked on at some time.
	Shares []OrderedShare `json:"shares"`
}

// OrderedMember is a process of an ordered consumer. It is listed for up to a minute
// after it died.
type OrderedMember struct {
	Instance string    `json:"instance"`
	Host     string    `json:"host"`
	PID      int       `json:"pid"`
	Shares   []int     `json:"shares"`
	At       time.Time `json:"at"` // of its last beat, by its clock
}

// OrderedShare is how far an ordered consumer is with one partition.
type OrderedShare struct {
	Share int `json:"share"`
	// Owner is the instance that has the share; "" when it was given up.
	Owner string `json:"owner"`
	Epoch uint64 `json:"epoch"`
	// Reader is the consumer on the broker that the owner reads through; it may be gone.
	Reader string `json:"reader,omitempty"`
	// Done is the sequence up to which all is finished but Unfinished messages, the
	// first of which is at Floor or behind it.
	Done       uint64 `json:"done"`
	Unfinished int    `json:"unfinished"`
	Floor      uint64 `json:"floor"`
	// Crashes counts owners in a row that died without finishing the message at Floor.
	Crashes int       `json:"crashes"`
	At      time.Time `json:"at"` // when the record was written, by its writer's clock
}

// OrderedConsumers lists the ordered consumers of a stream, by name; "" is the
// default stream. None, or no bucket, is no error. It changes nothing.
func OrderedConsumers(ctx context.Context, js jetstream.JetStream, stream string) ([]OrderedStatus, error) {
	setDefault(&stream, binjet.DefaultStream)
	kv, err := js.KeyValue(ctx, binjet.ConsumerBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", binjet.ConsumerBucket, err)
	}
	watch, err := kv.Watch(ctx, stream+".>", jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read bucket %s: %w", binjet.ConsumerBucket, err)
	}
	defer func() { _ = watch.Stop() }()
	found := make(map[string]*OrderedStatus)
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("read bucket %s: %w", binjet.ConsumerBucket, ctx.Err())
		case entry := <-watch.Updates():
			if entry == nil { // all that there was
				return sorted(found), nil
			}
			name, key, _ := strings.Cut(strings.TrimPrefix(entry.Key(), stream+"."), ".")
			if found[name] == nil {
				found[name] = &OrderedStatus{Name: name}
			}
			if err := found[name].note(key, entry.Value()); err != nil {
				return nil, fmt.Errorf("%s of bucket %s is not readable: %w", entry.Key(), binjet.ConsumerBucket, err)
			}
		}
	}
}

func sorted(found map[string]*OrderedStatus) []OrderedStatus {
	list := make([]OrderedStatus, 0, len(found))
	for _, s := range found {
		slices.SortFunc(s.Shares, func(a, b OrderedShare) int { return cmp.Compare(a.Share, b.Share) })
		slices.SortFunc(s.Members, func(a, b OrderedMember) int { return cmp.Compare(a.Instance, b.Instance) })
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b OrderedStatus) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// note takes one record. Those of a newer version are read as far as they are known.
func (s *OrderedStatus) note(key string, value []byte) error {
	switch number, isShare := strings.CutPrefix(key, "share."); {
	case key == groupKey:
		var r groupRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		s.Partitions, s.Topics = r.Partitions, r.Topics
	case isShare:
		var r shareRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		s.Shares = append(s.Shares, OrderedShare{Share: n, Owner: r.Owner, Epoch: r.Epoch, Reader: r.Reader,
			Done: r.Cut, Unfinished: len(r.Open), Floor: r.floor(), Crashes: r.Crashes, At: r.At})
	case strings.HasPrefix(key, memberPrefix):
		var b beat
		if err := json.Unmarshal(value, &b); err != nil {
			return err
		}
		m := OrderedMember{Instance: b.Instance, Host: b.Host, PID: b.PID, At: b.At, Shares: []int{}}
		for share := range b.Shares {
			m.Shares = append(m.Shares, share)
		}
		slices.Sort(m.Shares)
		s.Members = append(s.Members, m)
	}
	return nil
}

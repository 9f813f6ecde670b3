package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The states of a record. A record is never removed but by its age: what was
// released is marked as free, since a deletion could not be told from a key that
// was never there.
const (
	kvClaimed = "claimed"
	kvDone    = "done"
	kvFree    = "free"
)

const kvVersion = 1

// kvRecord is what a key holds.
type kvRecord struct {
	V     int    `json:"v"`
	State string `json:"state"`
	// By and Nonce say whose claim it is: this value of KV, and this one claim.
	By    string `json:"by"`
	Nonce string `json:"nonce"`
	// Beat counts the renewals, and Lease is what the claimer goes by.
	Beat  int       `json:"beat,omitempty"`
	Lease string    `json:"lease,omitempty"`
	At    time.Time `json:"at"` // for people: nothing is decided by it
}

// kvKey writes a message ID so that every one is a key of its own: letters,
// digits, '-' and '_' stand for themselves, all else is '=' and two hex digits.
func kvKey(id string) string {
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// kvBucket is one consumer's bucket.
type kvBucket struct {
	name string
	nc   *nats.Conn
	api  string // where the broker's API is

	opening sync.Mutex
	kv      jetstream.KeyValue // nil until it was opened
}

func newKVBucket(js jetstream.JetStream, name string) *kvBucket {
	api := "$JS.API."
	switch opts := js.Options(); {
	case opts.Domain != "":
		api = "$JS." + opts.Domain + ".API."
	case opts.APIPrefix != "":
		api = strings.TrimSuffix(opts.APIPrefix, ".") + "."
	}
	return &kvBucket{name: name, nc: js.Conn(), api: api}
}

// open looks the bucket up, or creates it. A bucket that was opened once is not
// created again: whoever deleted it meanwhile deleted all marks, and claims fail
// until somebody looks.
func (b *kvBucket) open(ctx context.Context, js jetstream.JetStream, cfg KVConfig) error {
	b.opening.Lock()
	defer b.opening.Unlock()
	if b.kv != nil {
		return nil
	}
	if !cfg.Unmanaged {
		_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:      b.name,
			Description: "binjet: messages that a consumer has handled",
			TTL:         cfg.Retention,
			Storage:     jetstream.FileStorage,
			Replicas:    cfg.Replicas,
		})
		if err != nil && !errors.Is(err, jetstream.ErrBucketExists) {
			return fmt.Errorf("create bucket %s: %w", b.name, err)
		}
	}
	stream, err := js.Stream(ctx, "KV_"+b.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &SchemaError{Table: b.name, Faults: []string{"there is no such bucket, and KVConfig.Unmanaged keeps it from being created"}}
	}
	if err != nil {
		return fmt.Errorf("look up bucket %s: %w", b.name, err)
	}
	if err := b.check(ctx, js, stream.CachedInfo().Config, cfg); err != nil {
		return err
	}
	b.kv, err = js.KeyValue(ctx, b.name)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", b.name, err)
	}
	return nil
}

// check makes sure that the bucket remembers as long as it has to.
func (b *kvBucket) check(ctx context.Context, js jetstream.JetStream, have jetstream.StreamConfig, cfg KVConfig) error {
	bad := &SchemaError{Table: b.name}
	if have.Storage != jetstream.FileStorage {
		bad.Faults = append(bad.Faults, "it is kept in memory, and empty after a restart of the broker: file storage is needed")
	}
	if have.Discard != jetstream.DiscardNew && (have.MaxBytes > 0 || have.MaxMsgs > 0) {
		bad.Faults = append(bad.Faults, "it has a limit of size at which it drops old marks: remove the limit, or let it discard new")
	}
	short := have.MaxAge > 0 && (cfg.Retention == 0 || have.MaxAge < cfg.Retention)
	if short && cfg.Unmanaged {
		bad.Faults = append(bad.Faults, fmt.Sprintf("its time to live is %s, and KVConfig.Retention is %s (0 is for ever): raise the one or lower the other",
			have.MaxAge, cfg.Retention))
	}
	if len(bad.Faults) > 0 {
		return bad
	}
	if !short {
		return nil
	}
	have.MaxAge = cfg.Retention
	if _, err := js.UpdateStream(ctx, have); err != nil {
		return fmt.Errorf("raise the time to live of bucket %s to %s (0 is for ever): %w", b.name, cfg.Retention, err)
	}
	return nil
}

// errRefused says that the key's last revision is another one, or was just then
// changing. Where there are replicas even a write that is refused may have been
// stored, so what is there has to be read.
var errRefused = errors.New("the key has another revision")

// put writes a record on top of the given revision, 0 for none.
func (b *kvBucket) put(ctx context.Context, key string, r kvRecord, over uint64) (uint64, error) {
	r.V, r.At = kvVersion, time.Now().UTC()
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	revision, err := b.kv.Update(ctx, key, data, over)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, fmt.Errorf("%w: %w", errRefused, err)
	}
	return revision, err
}

// kvHeld is a record as the bucket holds it.
type kvHeld struct {
	kvRecord
	revision uint64    // what the next write has to go over
	stored   time.Time // by the broker's clock
}

// get reads the record at the bucket's leader. One that is not there, and one that
// somebody deleted, is free.
func (b *kvBucket) get(ctx context.Context, key string) (kvHeld, error) {
	held := kvHeld{kvRecord: kvRecord{State: kvFree}}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Seq  uint64    `json:"seq"`
			Data []byte    `json:"data"`
			Time time.Time `json:"time"`
		} `json:"message"`
	}
	err := b.ask(ctx, "STREAM.MSG.GET", map[string]string{"last_by_subj": "$KV." + b.name + "." + key}, &answer)
	if err != nil {
		return held, fmt.Errorf("read key %s: %w", key, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return held, nil
	case answer.Error != nil:
		return held, fmt.Errorf("read key %s: %w", key, answer.Error)
	case answer.Message == nil:
		return held, fmt.Errorf("read key %s: the broker's answer holds no message", key)
	}
	held.revision, held.stored = answer.Message.Seq, answer.Message.Time
	if len(answer.Message.Data) == 0 { // a marker of a deletion
		return held, nil
	}
	if err := json.Unmarshal(answer.Message.Data, &held.kvRecord); err != nil {
		return held, fmt.Errorf("key %s holds something that binjet did not write: %w", key, err)
	}
	if held.V > kvVersion {
		return held, fmt.Errorf("key %s was written by a newer version of binjet (record version %d): upgrade this process", key, held.V)
	}
	return held, nil
}

// now is the time by the clock of the bucket's leader.
func (b *kvBucket) now(ctx context.Context) (time.Time, error) {
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		Time  time.Time           `json:"ts"`
	}
	err := b.ask(ctx, "STREAM.INFO", nil, &answer)
	switch {
	case err == nil && answer.Error != nil:
		err = answer.Error
	case err == nil && answer.Time.IsZero():
		err = errors.New("the broker's answer has no time")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the broker's time: %w", err)
	}
	return answer.Time, nil
}

func (b *kvBucket) ask(ctx context.Context, what string, query, answer any) error {
	var body []byte
	if query != nil {
		var err error
		if body, err = json.Marshal(query); err != nil {
			return err
		}
	}
	reply, err := b.nc.RequestWithContext(ctx, b.api+what+".KV_"+b.name, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(reply.Data, answer)
}

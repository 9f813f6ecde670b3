package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

const (
	// bucketTimeout bounds each call to the bucket.
	bucketTimeout = 5 * time.Second
	// beatLifetime is how long the key of a member that died stays.
	beatLifetime = time.Minute

	codeNoMessage = 10037 // JSNoMessageFoundErr
	codeNoStream  = 10059 // JSStreamNotFoundErr
)

// bucket keeps what ordered consumers have to remember: below
// <stream>.<name> the group, one share per partition, and the members.
type bucket struct {
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	api    string // prefix of the JetStream API
	prefix string
}

func (c *Consumer) newBucket() *bucket {
	return &bucket{js: c.js, api: c.apiPrefix(), prefix: c.cfg.Stream + "." + c.cfg.Name + "."}
}

// ensure opens the bucket, and creates it when it is absent.
func (b *bucket) ensure(ctx context.Context, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	kv, err := b.js.KeyValue(ctx, binjet.ConsumerBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = b.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:         binjet.ConsumerBucket,
			Description:    "binjet: positions and members of ordered consumers",
			Storage:        jetstream.FileStorage,
			Replicas:       max(replicas, 1),
			LimitMarkerTTL: beatLifetime, // keys of members expire
		})
		if errors.Is(err, jetstream.ErrBucketExists) {
			kv, err = b.js.KeyValue(ctx, binjet.ConsumerBucket)
		}
	}
	if errors.Is(err, jetstream.ErrLimitMarkerTTLNotSupported) {
		return &permanentError{fmt.Errorf("create bucket %s: the broker is older than 2.11: %w", binjet.ConsumerBucket, err)}
	}
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", binjet.ConsumerBucket, err)
	}
	b.kv = kv
	return b.expires(ctx)
}

// expires checks that keys can have a lifetime, for whoever made the bucket.
func (b *bucket) expires(ctx context.Context) error {
	status, err := b.kv.Status(ctx)
	if err != nil {
		return fmt.Errorf("look at bucket %s: %w", binjet.ConsumerBucket, err)
	}
	if status.LimitMarkerTTL() == 0 {
		return &permanentError{fmt.Errorf("bucket %s has no limit marker TTL, so keys of members can't expire: allow message TTLs and set one "+
			"on its stream KV_%s, or delete the bucket when nothing is in it, to have it made anew", binjet.ConsumerBucket, binjet.ConsumerBucket)}
	}
	return nil
}

// load reads a key from the bucket's leader: a direct get may be answered by a
// replica that lags. An absent key is no error: its value is nil, and revision is
// what a write has to expect.
func (b *bucket) load(ctx context.Context, key string, value any) (found bool, revision uint64, err error) {
	m, err := getMessage(ctx, b.js.Conn(), b.api, "KV_"+binjet.ConsumerBucket, map[string]any{"last_by_subj": b.subject(key)})
	if errors.Is(err, errNoMessage) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("read %s of bucket %s: %w", b.prefix+key, binjet.ConsumerBucket, err)
	}
	if len(m.Data) == 0 { // the marker of a deletion
		return false, m.Sequence, nil
	}
	if err := json.Unmarshal(m.Data, value); err != nil {
		return false, m.Sequence, fmt.Errorf("%s of bucket %s is not readable: %w", b.prefix+key, binjet.ConsumerBucket, err)
	}
	return true, m.Sequence, nil
}

// swap writes a key if its revision is still the one given. After any error the
// write may have happened all the same, or may still happen.
func (b *bucket) swap(ctx context.Context, key string, value any, revision uint64) (uint64, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	next, err := b.kv.Update(ctx, b.prefix+key, data, revision)
	if err != nil { // a revision that is not the one expected is no fault for good
		return 0, fmt.Errorf("write %s of bucket %s: %w", b.prefix+key, binjet.ConsumerBucket, unlasting(err))
	}
	return next, nil
}

// beat writes a member's key, which expires.
func (b *bucket) beat(ctx context.Context, key string, value beat) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	m := nats.NewMsg(b.publishSubject(key))
	m.Data = data
	_, err = b.js.PublishMsg(ctx, m, jetstream.WithMsgTTL(beatLifetime))
	return err
}

// leave removes a member's key.
func (b *bucket) leave(ctx context.Context, key string) error {
	return b.kv.Purge(ctx, b.prefix+key, jetstream.PurgeTTL(beatLifetime))
}

// subject is where the bucket's stream has a key.
func (b *bucket) subject(key string) string {
	return "$KV." + binjet.ConsumerBucket + "." + b.prefix + key
}

// publishSubject is where a key is written to, as jetstream's KeyValue does it.
func (b *bucket) publishSubject(key string) string {
	if b.api != jetstream.DefaultAPIPrefix {
		return b.api + b.subject(key)
	}
	return b.subject(key)
}

// errNoMessage says that the leader knows no such message.
var errNoMessage = errors.New("no such message")

// getMessage reads one message of a stream from its leader.
func getMessage(ctx context.Context, nc *nats.Conn, api, stream string, query map[string]any) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	body, err := json.Marshal(query)
	if err != nil {
		return nil, err
	}
	reply, err := nc.RequestWithContext(ctx, api+"STREAM.MSG.GET."+stream, body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, err
	}
	switch e := answer.Error; {
	case e != nil && (e.Code == codeNoMessage || e.Code == codeNoStream):
		return nil, fmt.Errorf("%w: %s", errNoMessage, e.Description)
	case e != nil:
		return nil, fmt.Errorf("%s (code %d)", e.Description, e.Code)
	case answer.Message == nil:
		return nil, errors.New("the broker's answer holds no message")
	}
	m := answer.Message
	raw := &jetstream.RawStreamMsg{Subject: m.Subject, Sequence: m.Seq, Data: m.Data, Time: m.Time}
	if len(m.Header) > 0 {
		if raw.Header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, fmt.Errorf("headers of message %d: %w", m.Seq, err)
		}
	}
	return raw, nil
}

// Package deadletter says where dead letters lie and how their stream is made.
// Relays put rows there that can't be published, consumers messages that can't be
// handled, and both must mean the same stream.
package deadletter

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// maxReason bounds the reason in a header, in bytes.
const maxReason = 1024

// Stream is the name of the stream of stream's dead letters.
func Stream(stream string) string { return stream + "_DLQ" }

// Subject is where the relay or consumer called name puts a dead letter of topic.
func Subject(stream, name, topic string) string {
	return strings.Join([]string{"dlq", stream, name, topic}, ".")
}

// Config is how the stream is made.
func Config(stream string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Stream(stream),
		Description: "binjet: what of stream " + stream + " could not be published or handled",
		Subjects:    []string{"dlq." + stream + ".>"},
		Storage:     jetstream.FileStorage,
		Replicas:    max(replicas, 1),
		AllowDirect: true,
	}
}

// Ensure creates the stream when it is missing. An existing one is left as it is.
func Ensure(ctx context.Context, js jetstream.JetStream, stream string, replicas int) (created bool, err error) {
	_, err = js.Stream(ctx, Stream(stream))
	if err == nil || !errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, err
	}
	_, err = js.CreateStream(ctx, Config(stream, replicas))
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster
		return false, nil
	}
	return err == nil, err
}

// Reason is text as one line that a header can hold.
func Reason(text string) string {
	s := strings.ToValidUTF8(strings.Join(strings.Fields(strings.ReplaceAll(text, "\x00", " ")), " "), "?")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}

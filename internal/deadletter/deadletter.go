// Package deadletter says where dead letters lie, how their stream is made, and
// what fits into their headers. Relays put rows there that can't be published,
// consumers messages that can't be handled, and both must mean the same stream.
// Replays lie there too, until the consumer they are for has handled them.
package deadletter

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// Room is what a dead letter's own headers take at least, in bytes: a relay leaves
	// so much of the broker's max_payload free, so that every message fits as a dead letter.
	Room = 1536
	// Window is how long the broker knows a dead letter, and a replay, that is
	// written a second time because the first one's reply was lost or its writer died.
	Window = 24 * time.Hour

	maxReason = 1024 // of the reason in a header, in bytes
	maxStack  = 8 << 10

	// replayToken is in place of a name, and can be none: '$' is not allowed there.
	replayToken = "$replay"
	lineBreak   = " | "
)

// Stream is the name of the stream of stream's dead letters.
func Stream(stream string) string { return stream + "_DLQ" }

// Subject is where the relay or consumer called name puts a dead letter of topic.
func Subject(stream, name, topic string) string {
	return strings.Join([]string{"dlq", stream, name, topic}, ".")
}

// ReplaySubject is where a dead letter of topic is put for the consumer called name
// to handle it again. The stream of dead letters covers it.
func ReplaySubject(stream, name, topic string) string {
	return strings.Join([]string{"dlq", stream, replayToken, name, topic}, ".")
}

// IsReplay reports whether a subject of that stream is a replay's.
func IsReplay(stream, subject string) bool {
	return strings.HasPrefix(subject, "dlq."+stream+"."+replayToken+".")
}

// Parts takes a dead letter's subject apart: who wrote it, and the topic.
func Parts(stream, subject string) (name, topic string) {
	name, topic, _ = strings.Cut(strings.TrimPrefix(subject, "dlq."+stream+"."), ".")
	return name, topic
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
		Duplicates:  Window,
	}
}

// Ensure creates the stream when it is missing. An existing one is left as it is.
func Ensure(ctx context.Context, js jetstream.JetStream, stream string, replicas int) (created bool, err error) {
	_, err = js.Stream(ctx, Stream(stream))
	if err == nil || !errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, err
	}
	cfg := Config(stream, replicas)
	_, err = js.CreateStream(ctx, cfg)
	var api *jetstream.APIError
	if errors.As(err, &api) && strings.Contains(api.Description, "duplicates window") { // the server allows no such
		cfg.Duplicates = 0
		_, err = js.CreateStream(ctx, cfg)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster
		return false, nil
	}
	return err == nil, err
}

// Reason is text as one line that a header can hold.
func Reason(text string) string { return clip(line(text), maxReason) }

// Stack is a panic's stack as one line that a header can hold, cut at its far end.
// [Lines] reads it.
func Stack(stack []byte) string {
	text := strings.ReplaceAll(strings.TrimSpace(string(stack)), "\n\t", " ")
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = line(lines[i])
	}
	return clip(strings.Join(lines, lineBreak), maxStack)
}

// Lines is a stack as it was, a line for each call.
func Lines(stack string) string { return strings.ReplaceAll(stack, lineBreak, "\n") }

func line(text string) string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(strings.ReplaceAll(text, "\x00", " ")), " "), "?")
}

// clip cuts s to size bytes, and says so by an ellipsis.
func clip(s string, size int) string {
	if len(s) <= size {
		return s
	}
	return strings.ToValidUTF8(s[:size], "") + "…"
}

// Trim shortens the value of a header that is about why a message died to what is
// left of the room for all headers, or drops it.
func Trim(header map[string][]string, name string, room int) {
	v := header[name]
	if len(v) == 0 || room >= 0 {
		return
	}
	const ellipsis = len("…")
	if left := len(v[0]) + room - ellipsis; left > 0 {
		header[name] = []string{clip(v[0], left)}
		return
	}
	delete(header, name)
}

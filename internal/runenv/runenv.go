// Package runenv is what a consumer tells the wrappers of its handlers through
// the context: those of package consumer and those of consumertest.
package runenv

import (
	"context"

	"github.com/binjet/binjet"
)

// Env belongs to one Run.
type Env struct {
	// Codecs are for typed handlers that name none.
	Codecs []binjet.Codec
	// Stopping is closed when Run was told to end. A handler's own context lives
	// on until DrainTimeout; what only waits to begin should not.
	Stopping <-chan struct{}
}

type key struct{}

// With returns a context that carries env.
func With(ctx context.Context, env Env) context.Context { return context.WithValue(ctx, key{}, env) }

// From returns what ctx carries. The zero value, of a context that no consumer
// made, has no codecs and never stops.
func From(ctx context.Context) Env {
	env, _ := ctx.Value(key{}).(Env)
	return env
}

//go:build !binjet_mutants

package relay

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
)

// Mutants break one rule each, so that test/torture can show that it would notice.
// They exist under the build tag binjet_mutants only; here they are nothing.

func (*publisher) mutateCommit(*write, *nats.Msg) bool { return false }

func (*publisher) mutateStage(*nats.Msg) {}

func (*publisher) mutateSettle(context.Context, *write) {}

func mutateRecord(*checkpoint.Checkpoint) {}

func (*publisher) mutateAlone(*nats.Msg) {}

func mutateVerdict(v verdict, cause error, _ *write, _ store.Held) (verdict, error) { return v, cause }

func mutantIsLate() bool { return false }

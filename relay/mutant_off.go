//go:build !binjet_mutants

package relay

import (
	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint/store"
)

// Mutants break one rule each, so that test/torture can show that it would notice.
// They exist under the build tag binjet_mutants only; here they are nothing.

func (*publisher) mutateCommit(*write, *nats.Msg) bool { return false }

func mutateVerdict(v verdict, cause error, _ *write, _ store.Held) (verdict, error) { return v, cause }

func mutantIsLate() bool { return false }

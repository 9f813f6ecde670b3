package consumer

import "errors"

// Unknown says what becomes of a message that this process can do nothing with:
// one whose topic has no handler, or whose Content-Type no codec knows.
type Unknown int

// What can become of it.
const (
	// UnknownHandBack gives the message back for another process of the same Name,
	// which may know it: an older or a newer version, while both run. It comes back
	// after the longest backoff and no attempt is counted. Danger: where nobody ever
	// knows it, it stays within MaxAckPending for ever, and enough of them stop the
	// consumer. Other processes count the deliveries: a message handed back far more
	// often than MaxDeliver becomes a dead letter at the process that knows it.
	UnknownHandBack Unknown = iota + 1
	// UnknownDeadLetter makes a dead letter of it at once, which can be replayed
	// when there is a process that knows it.
	UnknownDeadLetter
	// UnknownSkip acknowledges it; it is counted and logged. Danger: it is lost for
	// this consumer, also for a process of the same Name that would have known it.
	UnknownSkip
)

// ErrUnknownType is what a typed handler returns, through errors.Is, when no
// codec knows the message's Content-Type. Config.UnknownType decides about it.
var ErrUnknownType = errors.New("no codec knows the Content-Type")

// ErrNoHandler is why a message was not handled for whose topic this process has no
// handler; Config.UnknownTopic says what becomes of it.
var ErrNoHandler = errors.New("no handler for the topic: another process may have set the consumer's filter; " +
	"run the same handlers in all processes of one consumer name")

// unknown is the outcome that how asks for.
func (p policy) unknown(how Unknown, err error) Outcome {
	switch how {
	case UnknownDeadLetter:
		return Outcome{Kind: DeadLettered, Err: err}
	case UnknownSkip:
		return Outcome{Kind: Skipped, Err: err}
	default:
		return Outcome{Kind: Deferred, Err: err, Delay: p.backoff.Max}
	}
}

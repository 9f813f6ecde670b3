// Package consumertest runs handlers in unit tests, in memory and without a
// broker, by the rules of a real consumer: what an error means, which attempt is
// the last, how a batch is parted, what is a duplicate.
//
//	out := consumertest.Run(t, handler, consumertest.Message(t, "orders.created", codec.JSON{}, order))
//	if out.Kind != consumer.Handled {
//		t.Fatal(out.Err)
//	}
//
// [Chaos] is for what seldom happens: it makes handlers fail and panic at random,
// also after they have done their work, and delivers messages twice and out of
// order. A test that fails prints the seed with which it fails again. [Soak] lets
// all of it loose on a handler until every message has ended.
package consumertest

// Package inbox remembers which messages a consumer has handled, so that a
// message delivered twice has its effects once.
//
// There are two kinds, because there are two kinds of effects.
//
// A [Tx] inbox is for effects in a SQL database. Its row is inserted first thing
// in the handler's own transaction, so "handled" and the effects commit or
// vanish together: the effects happen exactly once per message ID, whatever is
// redelivered and whoever is killed when. [SQL] is one.
//
// An [Inbox] is for every other effect. Nothing can make a mail or an HTTP call
// atomic with a mark, so it only says: claim the ID, run the handler, mark it
// done, or release the claim. A message is never marked done before its handler
// has succeeded: a crash in between delivers it again, never loses it. [Memory] is one.
package inbox

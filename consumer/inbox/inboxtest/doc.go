// Package inboxtest is what every inbox has to pass, ours and yours: call
// [RunInbox] from a test of an [inbox.Inbox], [RunTx] from one of an [inbox.Tx],
// and [RunSQL] from one of an [inbox.SQL] on a database of your choice.
//
// The suites are about what can be seen from outside: who wins when copies of a
// message race, what a rollback, a restart or a dead process leaves behind, which
// IDs are told apart. They wait for what they can see and assert no durations.
package inboxtest

// Package dashboard is the page of the admin server: what the relay does, what lies on
// the stream, who reads it, and what died.
//
// Every page is rendered here, by html/template, and works without a script. The
// script only puts in what the server sends afterwards by Server-Sent Events: the same
// fragments of the same templates, so that nothing is rendered in two ways. Nothing is
// built or fetched from elsewhere.
//
// Whoever looks costs something, whoever doesn't costs nothing: but for one sample a
// second of what the relay knows by itself ([History]), the broker and the source are
// asked only while a page is open, a bounded number of times, and for all viewers
// together. The page of a standby shows the same, but for what only a leader knows.
//
// Who may see it is the business of the [Gate] before it. Dead letters are replayed and
// dropped in two steps, the second of which says who does it, and are logged.
package dashboard

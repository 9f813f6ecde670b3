// Package security proves what docs/security.md says: the accounts there, with
// exactly the rights that stand there, are enough for what they are for; encryption
// and every way of logging in work; what is rotated is followed without a restart;
// and no secret is ever shown.
package security

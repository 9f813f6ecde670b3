// Package retention proves how the outbox table stays small, on real servers:
// rows that are deleted in their own transaction, and rows that are pruned once
// they are safely in the stream, whatever is killed meanwhile.
package retention

// Package order proves what Ordered: ByKey promises, on real databases, while the
// members of a consumer are processes of their own that are killed, paused and
// added, and the broker restarts under them. A handler's effect is refused by the
// database itself where it is not the next of its key.
package order

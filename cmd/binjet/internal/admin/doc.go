// Package admin watches a running relay and its reader through their hooks, and
// serves what it saw: /healthz, /readyz and /metrics.
//
// [Watch] holds the state and never asks a server anything, so that a probe costs
// nothing and answers while the database or the broker hangs. What nobody tells it,
// such as how long the source keeps its binlogs, a [Surveyor] asks, rarely and beside it.
//
// Everything else that the admin server has is behind a [Guard], which says who may
// see it, and that nothing is changed by a request which its user did not mean.
package admin

// Package admin watches a running relay and its reader through their hooks, and
// serves what it saw: /healthz, /readyz and /metrics.
//
// [Watch] holds the state and never asks anybody anything, so that a probe costs
// nothing and answers while the database or the broker hangs.
package admin

// Package observe looks at a running binjet as those who operate it do: by its metrics,
// its probes and its spans, with a service before it and one behind it, on real servers.
package observe

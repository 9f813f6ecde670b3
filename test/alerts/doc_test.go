// Package alerts runs the alert rules of deploy/prometheus on made-up series, by
// Prometheus's own parser and query engine, and says which fire and when.
//
// Its rules package would do the same and a little more ("for", templates), but needs
// service discovery and so 500 packages, which take a minute and a half to compile;
// the engine alone has 100.
package alerts

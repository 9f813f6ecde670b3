// Package consumerprom has Prometheus metrics of a consumer, for services that use
// Prometheus. Package consumer itself knows no metrics library.
//
//	cfg := consumer.Config{Name: "billing"}
//	metrics := consumerprom.Instrument(&cfg)
//	c, err := consumer.New(js, cfg)
//	metrics.Watch(c)
//	prometheus.MustRegister(metrics)
//
// docs/metrics.md lists them. All carry the labels consumer and stream, so that several
// consumers of one process can be registered side by side. What a handler is for is
// told by its pattern, not by the topic, so the number of series is that of the
// handlers, whatever topics there are.
package consumerprom

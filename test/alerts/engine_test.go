package alerts

import (
	"context"
	"log/slog"
	"math"
	"os"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

const rulesFile = "../../deploy/prometheus/alerts.yaml"

// step is between two samples, and between two evaluations.
const step = 15 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// rules reads the file as strictly as Prometheus does.
func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	must(t, err)
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, newParser(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var list []rulefmt.Rule
	for _, g := range groups.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

// memory is series in memory.
type memory []storage.Series

// load reads series in the notation of promtool's tests: up{job="x"} 1 1 0+1x10.
func load(t *testing.T, lines ...string) (m memory) {
	t.Helper()
	for _, line := range lines {
		name, values, err := newParser().ParseSeriesDesc(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var samples []chunks.Sample
		for i, v := range values {
			if !v.Omitted {
				samples = append(samples, sample{t: int64(i) * step.Milliseconds(), v: v.Value})
			}
		}
		m = append(m, storage.NewListSeries(name, samples))
	}
	return m
}

type sample struct {
	t int64
	v float64
}

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

func (m memory) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, want ...*labels.Matcher) storage.SeriesSet {
		set := &found{at: -1}
		for _, s := range m {
			if matches(s.Labels(), want) {
				set.series = append(set.series, s)
			}
		}
		return set
	}}, nil
}

func matches(l labels.Labels, want []*labels.Matcher) bool {
	for _, m := range want {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// found is the series that a query selects.
type found struct {
	series []storage.Series
	at     int
}

func (f *found) Next() bool                        { f.at++; return f.at < len(f.series) }
func (f *found) At() storage.Series                { return f.series[f.at] }
func (f *found) Err() error                        { return nil }
func (f *found) Warnings() annotations.Annotations { return nil }

// fires evaluates a rule for as long as an hour, and returns for each set of labels
// how long it takes until it fires: once its expression has held for as long as "for".
func fires(t *testing.T, r rulefmt.Rule, m memory) map[string]time.Duration {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: math.MaxInt32, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: newParser()})
	defer engine.Close()
	q, err := engine.NewRangeQuery(context.Background(), m, nil, r.Expr, time.Unix(0, 0), time.Unix(3600, 0), step)
	must(t, err)
	defer q.Close()
	res := q.Exec(t.Context())
	must(t, res.Err)
	matrix, err := res.Matrix()
	must(t, err)
	at := make(map[string]time.Duration)
	for _, series := range matrix {
		if when, ok := heldFor(series.Floats, time.Duration(r.For)); ok {
			at[series.Metric.String()] = when
		}
	}
	return at
}

// heldFor is when values without a gap had been there for that long.
func heldFor(values []promql.FPoint, least time.Duration) (time.Duration, bool) {
	var since int64
	for i, v := range values {
		if i == 0 || v.T-values[i-1].T > step.Milliseconds() {
			since = v.T
		}
		if held := time.Duration(v.T-since) * time.Millisecond; held >= least {
			return time.Duration(v.T) * time.Millisecond, true
		}
	}
	return 0, false
}

package alerts

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// healthy is an hour of a leader and a standby that publish, and of a consumer.
func healthy() []string {
	return []string{
		`up{job="binjet",instance="a"} 1x240`, `up{job="binjet",instance="b"} 1x240`, `up{job="node",instance="c"} 0x240`,
		`process_start_time_seconds{job="binjet",instance="a"} 5x240`,
		`binjet_relay_role{source="shop",instance="a",role="leader"} 1x240`, `binjet_relay_role{source="shop",instance="b",role="leader"} 0x240`,
		`binjet_ready{source="shop",instance="a"} 1x240`, `binjet_ready{source="shop",instance="b"} 1x240`,
		`binjet_backlog_transactions{source="shop",instance="a"} 3x240`, `binjet_events_published_total{source="shop",instance="a"} 0+5x240`,
		`binjet_lag_seconds{source="shop",instance="a"} 1x240`,
		`binjet_commit_to_published_seconds_bucket{source="shop",instance="a",le="0.1"} 0+100x240`, `binjet_commit_to_published_seconds_bucket{source="shop",instance="a",le="60"} 0+100x240`,
		`binjet_commit_to_published_seconds_bucket{source="shop",instance="a",le="+Inf"} 0+100x240`,
		`binjet_position_purge_seconds{source="shop",instance="a"} 86000x240`, `binjet_source_binlog_keep_seconds{source="shop",instance="a"} 86400x240`,
		`binjet_source_connected{source="shop",instance="a"} 1x240`,
		`binjet_nats_connected{source="shop",instance="a"} 1x240`, `binjet_nats_connected{source="shop",instance="b"} 1x240`,
		`binjet_relay_epoch{source="shop",instance="a"} 7x240`, `binjet_relay_epoch{source="shop",instance="b"} 7x240`,
		`binjet_refused_writes_total{source="shop",instance="a",code="10071"} 2x240`,
		`binjet_quarantined_total{source="shop",instance="a"} 1x240`, `binjet_dead_letters{source="shop",instance="a",name="shop"} 0x240`,
		`binjet_xa_oldest_seconds{source="shop",instance="a"} 5x240`, `binjet_survey_failures_total{source="shop",instance="a",about="binlogs"} 3x240`,
		`binjet_prune_errors_total{source="shop",instance="a"} 2x240`, `binjet_prune_errors_total{source="shop",instance="b"} 0x240`,
		`binjet_prune_last_success_timestamp_seconds{source="shop",instance="a"} 0+15x240`, `binjet_prune_last_success_timestamp_seconds{source="shop",instance="b"} 0x240`,
		`binjet_prune_keep_seconds{source="shop",instance="a"} 604800x240`, `binjet_prune_keep_seconds{source="shop",instance="b"} 604800x240`,
		// As old as rows in partitions get: a week and a day.
		`binjet_prune_oldest_kept_timestamp_seconds{source="shop",instance="a",table="outbox"} -691000+15x240`,

		`binjet_consumer_breaker_state{consumer="billing",stream="OUTBOX",instance="s",state="open"} 0x240`,
		`binjet_consumer_inbox_waits_total{consumer="billing",stream="OUTBOX",instance="s"} 4x240`,
		`binjet_consumer_connected{consumer="billing",stream="OUTBOX",instance="s"} 1x240`,
		`binjet_consumer_dead_letters_total{consumer="billing",stream="OUTBOX",instance="s",reason="attempts"} 2x240`,
		`binjet_consumer_outcomes_total{consumer="billing",stream="OUTBOX",instance="s",handler="t",outcome="handled"} 0+100x240`,
		`binjet_consumer_outcomes_total{consumer="billing",stream="OUTBOX",instance="s",handler="t",outcome="retried"} 0+5x240`,
		`binjet_consumer_commit_to_handled_seconds_bucket{consumer="billing",stream="OUTBOX",instance="s",handler="t",le="1"} 0+100x240`,
		`binjet_consumer_commit_to_handled_seconds_bucket{consumer="billing",stream="OUTBOX",instance="s",handler="t",le="300"} 0+100x240`,
		`binjet_consumer_commit_to_handled_seconds_bucket{consumer="billing",stream="OUTBOX",instance="s",handler="t",le="+Inf"} 0+100x240`,
	}
}

// with is the hour in which these series are otherwise, told by their names and labels.
func with(lines []string, changed ...string) []string {
	list := slices.Clone(lines)
	for _, c := range changed {
		name, _, _ := strings.Cut(c, " ")
		i := slices.IndexFunc(list, func(l string) bool { return strings.HasPrefix(l, name+" ") })
		if i < 0 {
			list = append(list, c)
			continue
		}
		list[i] = c
	}
	return list
}

// trouble is an hour that begins with ten minutes as they should be: what fires in it, and how long after these.
type trouble struct {
	name    string
	changed []string
	fires   map[string]time.Duration
}

// A sample comes every 15 s, so ten minutes are 40 of them.
func troubles() []trouble {
	const m = time.Minute
	return []trouble{
		{"healthy", nil, nil},
		{"a process is gone", []string{`up{job="binjet",instance="b"} 1x39 0x200`}, map[string]time.Duration{"BinjetDown": 2 * m}},
		{"nobody leads", []string{`binjet_relay_role{source="shop",instance="a",role="leader"} 1x39 0x200`}, map[string]time.Duration{"BinjetNoLeader": 1 * m}},
		{"a take-over", []string{`binjet_relay_role{source="shop",instance="a",role="leader"} 1x39 0x200`, `binjet_relay_role{source="shop",instance="b",role="leader"} 0x40 1x200`,
			`binjet_relay_epoch{source="shop",instance="a"} 7x39 8x200`, `binjet_relay_epoch{source="shop",instance="b"} 7x39 8x200`}, nil},
		{"not ready", []string{`binjet_ready{source="shop",instance="b"} 1x39 0x200`}, map[string]time.Duration{"BinjetNotReady": 2 * m}},
		{"not ready for a moment", []string{`binjet_ready{source="shop",instance="b"} 1x39 0x5 1x200`}, nil},
		{"crash loop", []string{`process_start_time_seconds{job="binjet",instance="a"} 5x39 6x10 7x10 8x10 9x200`}, map[string]time.Duration{"BinjetRestarting": 8*m + 15*time.Second}},
		{"nothing of the backlog is published", []string{`binjet_events_published_total{source="shop",instance="a"} 0+5x39 195x200`}, map[string]time.Duration{"BinjetStalled": 3*m + 45*time.Second}},
		{"nothing to publish", []string{`binjet_events_published_total{source="shop",instance="a"} 0+5x39 195x200`, `binjet_backlog_transactions{source="shop",instance="a"} 3x39 0x200`}, nil},
		{"behind", []string{`binjet_lag_seconds{source="shop",instance="a"} 1x39 61x200`}, map[string]time.Duration{"BinjetLagging": 5 * m}},
		{"slow", []string{`binjet_commit_to_published_seconds_bucket{source="shop",instance="a",le="0.1"} 0+100x39 3900x200`}, map[string]time.Duration{"BinjetSlow": 10*m + 15*time.Second}},
		{"half of the binlogs' time is over", []string{`binjet_position_purge_seconds{source="shop",instance="a"} 86000x39 43000x200`}, map[string]time.Duration{"BinjetPositionAgeing": 5 * m}},
		{"binlogs are about to be purged", []string{`binjet_position_purge_seconds{source="shop",instance="a"} 86000x39 8000x200`},
			map[string]time.Duration{"BinjetPositionAgeing": 5 * m, "BinjetPositionNearPurge": 1 * m}},
		{"binlogs are kept for ever", []string{`binjet_position_purge_seconds{source="shop",instance="a"} _x240`, `binjet_source_binlog_keep_seconds{source="shop",instance="a"} 0x240`}, nil},
		{"the source is gone", []string{`binjet_source_connected{source="shop",instance="a"} 1x39 0x200`}, map[string]time.Duration{"BinjetSourceDisconnected": 2 * m}},
		{"NATS is gone for one", []string{`binjet_nats_connected{source="shop",instance="b"} 1x39 0x200`}, map[string]time.Duration{"BinjetNATSDisconnected": 2 * m}},
		{"leaders come and go", []string{`binjet_relay_epoch{source="shop",instance="a"} 7x39 7+1x20 28x200`, `binjet_relay_epoch{source="shop",instance="b"} 7x39 7+1x20 28x200`},
			map[string]time.Duration{"BinjetFlapping": 90 * time.Second}},
		{"commits are refused all the time", []string{`binjet_refused_writes_total{source="shop",instance="a",code="10071"} 2x39 2+1x200`}, map[string]time.Duration{"BinjetWritesRefused": 10*m + 15*time.Second}},
		{"a commit was refused", []string{`binjet_refused_writes_total{source="shop",instance="a",code="10071"} 2x39 3x200`}, nil},
		{"a row is quarantined", []string{`binjet_quarantined_total{source="shop",instance="a"} 1x39 2x200`}, map[string]time.Duration{"BinjetQuarantined": 0}},
		{"dead letters", []string{`binjet_dead_letters{source="shop",instance="a",name="billing"} 0x39 2x200`}, map[string]time.Duration{"BinjetDeadLetters": 15 * m}},
		{"an XA transaction is forgotten", []string{`binjet_xa_oldest_seconds{source="shop",instance="a"} 5x39 4000+15x200`}, map[string]time.Duration{"BinjetXAUndecided": 5 * m}},
		{"questions without an answer", []string{`binjet_survey_failures_total{source="shop",instance="a",about="binlogs"} 3x39 3+1x200`}, map[string]time.Duration{"BinjetSurveyFails": 2*m + 45*time.Second}},
		{"rounds of pruning fail", []string{`binjet_prune_errors_total{source="shop",instance="a"} 2x39 2+4x200`, `binjet_prune_last_success_timestamp_seconds{source="shop",instance="a"} 0+15x39 585x200`},
			map[string]time.Duration{"BinjetPruneFails": 40 * m}},
		{"a round of pruning fails now and then", []string{`binjet_prune_errors_total{source="shop",instance="a"} 2x39 2+1x200`}, nil},
		{"a take-over, and the first round is under way", []string{`binjet_prune_last_success_timestamp_seconds{source="shop",instance="a"} 0+15x39 0x200`, `binjet_prune_last_success_timestamp_seconds{source="shop",instance="b"} 0x200`}, nil},
		{"rows stay", []string{`binjet_prune_oldest_kept_timestamp_seconds{source="shop",instance="a",table="outbox"} -691000+15x39 -699000x200`}, map[string]time.Duration{"BinjetPruneBehind": 15 * m}},

		{"breaker open", []string{`binjet_consumer_breaker_state{consumer="billing",stream="OUTBOX",instance="s",state="open"} 0x39 1x200`}, map[string]time.Duration{"BinjetConsumerBreakerOpen": 2 * m}},
		{"inbox down", []string{`binjet_consumer_inbox_waits_total{consumer="billing",stream="OUTBOX",instance="s"} 4x39 4+1x200`}, map[string]time.Duration{"BinjetConsumerInboxDown": 5*m + 15*time.Second}},
		{"consumer without NATS", []string{`binjet_consumer_connected{consumer="billing",stream="OUTBOX",instance="s"} 1x39 0x200`}, map[string]time.Duration{"BinjetConsumerDisconnected": 2 * m}},
		{"a message is given up", []string{`binjet_consumer_dead_letters_total{consumer="billing",stream="OUTBOX",instance="s",reason="attempts"} 2x39 3x200`}, map[string]time.Duration{"BinjetConsumerDeadLetters": 0}},
		{"many retries", []string{`binjet_consumer_outcomes_total{consumer="billing",stream="OUTBOX",instance="s",handler="t",outcome="retried"} 0+5x39 195+50x200`},
			map[string]time.Duration{"BinjetConsumerRetrying": 11 * m}},
		{"late handling", []string{`binjet_consumer_commit_to_handled_seconds_bucket{consumer="billing",stream="OUTBOX",instance="s",handler="t",le="1"} 0+100x39 3900x200`},
			map[string]time.Duration{"BinjetConsumerSlow": 10*m + 15*time.Second}},
	}
}

// Each alert fires in its trouble, after the time that it says, and no other does.
func TestAlerts(t *testing.T) {
	list := rules(t)
	fired := make(map[string]bool)
	for _, tr := range troubles() {
		t.Run(tr.name, func(t *testing.T) {
			series := load(t, with(healthy(), tr.changed...)...)
			got := make(map[string]time.Duration)
			for _, r := range list {
				for _, at := range fires(t, r, series) {
					got[r.Alert], fired[r.Alert] = at-10*time.Minute, true
				}
			}
			for name, after := range got {
				if want, ok := tr.fires[name]; !ok {
					t.Errorf("%s fires after %s, and should not", name, after)
				} else if late := after - want; late < -15*time.Second || late > 30*time.Second {
					t.Errorf("%s fires after %s, want %s", name, after, want)
				}
			}
			for name := range tr.fires {
				if _, ok := got[name]; !ok {
					t.Errorf("%s does not fire", name)
				}
			}
		})
	}
	for _, r := range list {
		if !fired[r.Alert] {
			t.Errorf("there is no trouble in which %s fires", r.Alert)
		}
		if slices.Sorted(maps.Keys(r.Annotations))[0] != "runbook_url" || r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s lacks an annotation or its severity: %v %v", r.Alert, r.Annotations, r.Labels)
		}
	}
}

package torture

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// checkpoint is what the stream holds of the source's position, as plain JSON.
type checkpoint struct {
	seq      uint64
	Epoch    uint64 `json:"epoch"`
	Count    uint64 `json:"count"`
	Instance string `json:"instance"`
	From     uint64 `json:"from"`   // where this was true; 0 for its own sequence
	Resume   string `json:"resume"` // the GTID set that is done with
	Partial  *struct {
		GTID string `json:"gtid"`
		Rows int    `json:"rows"`
	} `json:"partial"`
	XA []struct {
		GTID string `json:"gtid"`
	} `json:"xa"`
}

// at is the sequence at which it was true.
func (c checkpoint) at() uint64 {
	if c.From != 0 {
		return c.From
	}
	return c.seq
}

// observed is what was seen while the faults went on.
type observed struct {
	checkpoints        []checkpoint
	goroutines, memory float64 // the most of any streamer
}

// watch looks at the checkpoint and at the streamers' own numbers until ctx ends.
func (w *world) watch(ctx context.Context) *observed {
	var o observed
	for n := 0; ctx.Err() == nil; n++ {
		if c, err := w.checkpoint(); err == nil && (len(o.checkpoints) == 0 || o.checkpoints[len(o.checkpoints)-1].seq != c.seq) {
			o.checkpoints = append(o.checkpoints, c)
		}
		if n%20 == 0 {
			for _, addr := range w.admin {
				o.scrape(ctx, addr)
			}
		}
		wait(ctx, 10*time.Millisecond)
	}
	return &o
}

func (w *world) checkpoint() (c checkpoint, err error) {
	answer, err := w.ask("$JS.API.STREAM.MSG.GET.OUTBOX", []byte(`{"last_by_subj":"binjet.checkpoint.shop"}`)...)
	if err != nil {
		return c, err
	}
	msg, ok := answer["message"].(map[string]any)
	if !ok {
		return c, fmt.Errorf("no checkpoint: %v", answer["error"])
	}
	seq, _ := msg["seq"].(float64)
	text, _ := msg["data"].(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return c, err
	}
	c.seq = uint64(seq)
	return c, json.Unmarshal(data, &c)
}

// scrape: a streamer that is stopped or dead says nothing, which is no fault.
func (o *observed) scrape(ctx context.Context, addr string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
		case name == "go_goroutines":
			o.goroutines = max(o.goroutines, value)
		case name == "process_resident_memory_bytes":
			o.memory = max(o.memory, value)
		}
	}
}

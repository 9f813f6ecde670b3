package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/internal/deadletter"
)

type messagesView struct {
	Topic  string
	Before uint64
	Older  string // query of the next page
	List   rowsView[message]
}

func (d *Dashboard) listMessages(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if seq := query.Get("seq"); seq != "" {
		http.Redirect(w, r, "/messages/"+url.PathEscape(strings.TrimSpace(seq)), http.StatusSeeOther)
		return
	}
	v := messagesView{Topic: strings.TrimSpace(query.Get("topic"))}
	v.Before, _ = strconv.ParseUint(query.Get("before"), 10, 64) // anything else is the end
	ctx, cancel := asking(r.Context())
	defer cancel()
	list, err := d.broker().recent(ctx, v.Topic, v.Before, perPage)
	v.List = rowsView[message]{list, errorText(err)}
	if len(list) == perPage {
		v.Older = url.Values{"topic": {v.Topic}, "before": {strconv.FormatUint(list[perPage-1].Seq, 10)}}.Encode()
	}
	d.render(w, r, http.StatusOK, "messages", "Messages", v)
}

func (d *Dashboard) showMessage(w http.ResponseWriter, r *http.Request) {
	seq, ok := d.sequence(w, r)
	if !ok {
		return
	}
	ctx, cancel := asking(r.Context())
	defer cancel()
	m, err := d.broker().get(ctx, seq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		d.problem(w, r, http.StatusNotFound, "Stream "+d.Stream+" has no message "+strconv.FormatUint(seq, 10)+".", "It may have expired, or been removed by the stream's limits.")
	case err != nil:
		d.problem(w, r, http.StatusBadGateway, "The message can't be read: "+err.Error(), "Try again.")
	default:
		d.render(w, r, http.StatusOK, "message", "Message "+strconv.FormatUint(seq, 10), m)
	}
}

// sequence is the number in the path.
func (d *Dashboard) sequence(w http.ResponseWriter, r *http.Request) (uint64, bool) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil || seq == 0 {
		d.problem(w, r, http.StatusNotFound, strconv.Quote(r.PathValue("seq"))+" is no sequence.", "Sequences are numbers from 1 on.")
		return 0, false
	}
	return seq, true
}

type deadListView struct {
	By, Topic, Text string
	Counts          deadView
	Names           []string // who gave some up
	Page            deadPage
	Older           string // query of the next page
	Error           string
}

const searchTime = 5 * time.Second

func (d *Dashboard) listDead(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	v := deadListView{By: strings.TrimSpace(query.Get("by")), Topic: strings.TrimSpace(query.Get("topic")), Text: strings.TrimSpace(query.Get("text"))}
	counts, err := d.deadCounts(r.Context())
	v.Counts, v.Names = deadView{counts, errorText(err)}, counts.names()
	before, _ := strconv.ParseUint(query.Get("before"), 10, 64) // anything else is the end
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	v.Page, err = d.broker().search(ctx, deadFilter{By: v.By, Topic: v.Topic, Text: v.Text, Before: before, PerPage: perPage, MaxScanned: 2000})
	v.Error = errorText(err)
	if v.Page.Older > 0 {
		v.Older = url.Values{"by": {v.By}, "topic": {v.Topic}, "text": {v.Text}, "before": {strconv.FormatUint(v.Page.Older, 10)}}.Encode()
	}
	d.render(w, r, http.StatusOK, "dead_letters", "Dead letters", v)
}

type letterView struct {
	*consumer.DeadLetter
	Payload shown
	Headers []header
}

func viewOf(l *consumer.DeadLetter) letterView {
	v := letterView{DeadLetter: l, Payload: show(l.Message.ContentType, l.Message.Payload)}
	for _, name := range l.Message.Headers.Keys() {
		v.Headers = append(v.Headers, header{name, strings.Join(l.Message.Headers[name], ", ")})
	}
	return v
}

func (d *Dashboard) showDead(w http.ResponseWriter, r *http.Request) {
	seq, ok := d.sequence(w, r)
	if !ok {
		return
	}
	ctx, cancel := asking(r.Context())
	defer cancel()
	letter, err := d.letter(ctx, seq)
	switch {
	case errors.Is(err, consumer.ErrNoDeadLetter):
		d.problem(w, r, http.StatusNotFound, "There is no dead letter "+strconv.FormatUint(seq, 10)+".", "It was replayed or dropped.")
	case err != nil:
		d.problem(w, r, http.StatusBadGateway, "The dead letter can't be read: "+err.Error(), "Try again.")
	default:
		d.render(w, r, http.StatusOK, "dead_letter", "Dead letter "+strconv.FormatUint(seq, 10), viewOf(letter))
	}
}

func (d *Dashboard) letter(ctx context.Context, seq uint64) (*consumer.DeadLetter, error) {
	list, _, err := d.broker().letters(ctx)
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, consumer.ErrNoDeadLetter
	}
	return list.Get(ctx, seq)
}

// deadStream is for the pages that name it.
func (d *Dashboard) deadStream() string { return deadletter.Stream(d.Stream) }

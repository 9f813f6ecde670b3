package dashboard

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/binjet/binjet/consumer"
)

// What can be done to dead letters.
const (
	actionReplay = "replay"
	actionDrop   = "drop"

	maxActed = 200 // at once; for more there is the command
	maxName  = 80
)

type confirmView struct {
	Action  string
	Letters []*consumer.DeadLetter
	Refused []outcome // what can't be acted on
}

// confirm shows what is about to be done, and asks who does it.
func (d *Dashboard) confirm(w http.ResponseWriter, r *http.Request) {
	action, sequences, ok := d.order(w, r, r.URL.Query()["seq"], r.URL.Query().Get("action"))
	if !ok {
		return
	}
	ctx, cancel := asking(r.Context())
	defer cancel()
	v := confirmView{Action: action}
	for _, seq := range sequences {
		letter, err := d.letter(ctx, seq)
		if err == nil && action == actionReplay && letter.Quarantined {
			err = consumer.ErrQuarantined
		}
		if err != nil {
			v.Refused = append(v.Refused, outcome{seq, err.Error()})
			continue
		}
		v.Letters = append(v.Letters, letter)
	}
	d.render(w, r, http.StatusOK, "confirm", verb(action)+" dead letters", v)
}

func verb(action string) string {
	if action == actionDrop {
		return "Drop"
	}
	return "Replay"
}

// order reads what is to be done to which dead letters.
func (d *Dashboard) order(w http.ResponseWriter, r *http.Request, numbers []string, action string) (string, []uint64, bool) {
	if action != actionReplay && action != actionDrop {
		d.problem(w, r, http.StatusBadRequest, "Nothing is done: the action is neither replay nor drop.", "Go back to the dead letters.")
		return "", nil, false
	}
	if len(numbers) == 0 || len(numbers) > maxActed {
		d.problem(w, r, http.StatusBadRequest, fmt.Sprintf("Nothing is done: %d dead letters are chosen.", len(numbers)),
			fmt.Sprintf("Choose 1 to %d; for more there is the command line.", maxActed))
		return "", nil, false
	}
	sequences := make([]uint64, len(numbers))
	for i, number := range numbers {
		seq, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			d.problem(w, r, http.StatusBadRequest, "Nothing is done: "+strconv.Quote(number)+" is no sequence.", "Go back to the dead letters.")
			return "", nil, false
		}
		sequences[i] = seq
	}
	return action, sequences, true
}

type outcomeView struct {
	Action string
	Done   int
	List   []outcome // with those that failed
	Failed int
}

// act does it, and logs who did.
func (d *Dashboard) act(w http.ResponseWriter, r *http.Request) {
	who := cleanName(r.PostFormValue("who"))
	if who == "" {
		d.problem(w, r, http.StatusBadRequest, "Nothing is done: it does not say who does it.", "Go back and give your name; it is written to the log.")
		return
	}
	action, sequences, ok := d.order(w, r, r.PostForm["seq"], r.PostFormValue("action"))
	if !ok {
		return
	}
	list, err := d.broker().act(r.Context(), action, sequences)
	if err != nil {
		d.problem(w, r, http.StatusBadGateway, "Nothing is done: "+err.Error(), "Try again.")
		return
	}
	d.dead.forget()
	d.consumers.forget()
	v := outcomeView{Action: action, List: list}
	for _, o := range list {
		if o.Error != "" {
			v.Failed++
			continue
		}
		v.Done++
	}
	d.logAct(r, who, v)
	d.render(w, r, http.StatusOK, "outcome", "Done", v)
}

// logAct says who did what. The name is what somebody typed; the address is the
// connection's, and what a proxy says of it stands beside it.
func (d *Dashboard) logAct(r *http.Request, who string, v outcomeView) {
	var done, failed []uint64
	for _, o := range v.List {
		if o.Error != "" {
			failed = append(failed, o.Sequence)
			continue
		}
		done = append(done, o.Sequence)
	}
	attrs := []any{"action", v.Action, "who", who, "remote", r.RemoteAddr, "stream", d.deadStream(), "done", done}
	if via := r.Header.Get("X-Forwarded-For"); via != "" {
		attrs = append(attrs, "forwarded_for", cleanName(via))
	}
	if len(failed) > 0 {
		attrs = append(attrs, "failed", failed)
	}
	d.Log.Warn("dead letters were acted on by the dashboard", attrs...)
}

// cleanName is one line of what somebody typed.
func cleanName(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(s); len(runes) > maxName {
		return string(runes[:maxName])
	}
	return s
}

package dashboard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binjet/binjet/cmd/binjet/internal/presence"
	"github.com/binjet/binjet/relay"
)

const (
	answerTime     = 250 * time.Millisecond // for every relay to say that it is there
	freshProcesses = 15 * time.Second       // a standby looks at the source when it is asked
	silentFor      = 10 * time.Minute       // who may not ask makes the connection complain each time
)

// processesView are the relays of the source, the leader first.
type processesView struct {
	Asked   bool
	Rows    []processRow
	Standby bool // there is one
	Error   string
}

type processRow struct {
	presence.Process
	Leads bool
	For   string // how long it has the role
	Why   string // it could not take over; "" for one that could, or leads
}

// processesView asks where ask is set, which takes a moment; else it shows what is known.
func (d *Dashboard) processesView(ctx context.Context, ask bool) processesView {
	if !ask {
		list, err, asked := d.processes.peek()
		return viewProcesses(list, err, asked)
	}
	fresh := freshProcesses
	if _, err, _ := d.processes.peek(); errors.Is(err, presence.ErrNobody) {
		fresh = silentFor
	}
	list, err := d.processes.get(fresh, func() ([]presence.Process, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*askTimeout)
		defer cancel()
		return d.broker().processes(ctx, d.Source)
	})
	if errors.Is(err, errStarting) {
		d.processes.forget()
	}
	return viewProcesses(list, err, true)
}

func (s *stream) processes(ctx context.Context, source string) ([]presence.Process, error) {
	if err := s.connected(); err != nil {
		return nil, err
	}
	return presence.Ask(ctx, s.nc, presence.Subject(s.name, source), answerTime)
}

func viewProcesses(list []presence.Process, err error, asked bool) processesView {
	v := processesView{Asked: asked, Error: errorText(err)}
	if errors.Is(err, presence.ErrNobody) { // we would have answered, too
		v.Error = fmt.Sprintf("%v; the process's own user has to be allowed to publish there", err)
	}
	for _, p := range list {
		row := processRow{Process: p, Leads: p.Role == relay.Leader, For: ago(p.Since)}
		if why, ok := p.CouldLead(); !ok && !row.Leads {
			row.Why = why
		}
		v.Standby = v.Standby || p.Role == relay.Standby
		v.Rows = append(v.Rows, row)
	}
	return v
}

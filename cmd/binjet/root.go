package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// process is what a command has of the world, so that tests can give it another.
type process struct {
	args           []string
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// execute runs the command that the arguments name and returns the exit code.
func execute(p process) int {
	root := newRoot(p)
	root.SetArgs(p.args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	cmd, err := root.ExecuteC()
	report(p.stderr, err, cmd.CommandPath())
	return exitCode(err)
}

func newRoot(p process) *cobra.Command {
	root := &cobra.Command{
		Use:   "binjet",
		Short: "Transactional outbox for MySQL and MariaDB over NATS JetStream",
		Long: `binjet reads outbox tables from the binlog of MySQL or MariaDB and publishes their
rows to a NATS JetStream stream: exactly once, in commit order, if and only if
the transaction committed.

Exit codes: 0 clean stop, 1 failure, 2 bad usage or configuration, 3 going on would
break a promise (a gap, a divergence): an operator must decide.`,
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(p.stderr)
			_ = cmd.Help()
			return errors.New("name a command")
		},
	}
	addOutput(root)
	addOperator(root, p)
	root.AddGroup(groups()...)
	add(root, groupOperate, newRun(p), newPrune(p))
	add(root, groupInspect, newStatus(p), newHealthcheck(p), newVersion())
	add(root, groupRepair, newDLQ(p))
	add(root, groupSetUp, newDev(p), newInit(p), newCheck(p), newBench(p), newSchema(p), newConfig(p))
	root.AddCommand(newMan(), newConfigurationTopic())
	return root
}

// Groups of commands, as the help lists them.
const (
	groupOperate = "operate"
	groupInspect = "inspect"
	groupRepair  = "repair"
	groupSetUp   = "setup"
)

func groups() []*cobra.Group {
	return []*cobra.Group{
		{ID: groupOperate, Title: "Operate:"},
		{ID: groupInspect, Title: "Inspect (nothing is changed):"},
		{ID: groupRepair, Title: "Repair:"},
		{ID: groupSetUp, Title: "Set up:"},
	}
}

// add puts commands into a group.
func add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}

// addOperator adds what is for the operator of a source that runs.
func addOperator(root *cobra.Command, p process) {
	add(root, groupInspect, newVerify(p), newTail(p))
	add(root, groupRepair, newPosition(p))
}

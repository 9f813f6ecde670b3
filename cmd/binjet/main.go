// Command binjet publishes the outbox tables of a MySQL or MariaDB database to
// NATS JetStream: `binjet help` lists what it can do, `binjet help configuration`
// every key.
//
// Each command is one file of this package. What they share stands in exit.go
// (errors and exit codes), settings.go (configuration and flags) and connect.go
// (the way to the database and the broker).
package main

import "os"

func main() {
	os.Exit(execute(process{args: os.Args[1:], environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

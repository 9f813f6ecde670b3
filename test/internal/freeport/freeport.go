// Package freeport finds free ports for servers that have to keep theirs over a restart.
package freeport

import (
	"fmt"
	"net"
	"os"
	"sync"
)

// last is the last that was given away, so that no other world of this program gets
// it before it is listened at.
var last = 11000 + os.Getpid()%8000

var mu sync.Mutex

// Find returns n ports that are free now, below those that the system gives to
// connections, so that no connection takes one while its server is down.
func Find(n int) (ports []int, err error) {
	mu.Lock()
	defer mu.Unlock()
	for len(ports) < n && last < 32000 {
		last++
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", last))
		if err != nil {
			continue
		}
		_ = l.Close()
		ports = append(ports, last)
	}
	if len(ports) < n {
		return nil, fmt.Errorf("%d ports are free, %d are needed", len(ports), n)
	}
	return ports, nil
}

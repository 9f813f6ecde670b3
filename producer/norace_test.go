//go:build !race

package producer

const raceAllocations = 0

//go:build !linux

package main

import (
	"errors"
	"syscall"
)

func childAttr() *syscall.SysProcAttr { return nil }

func processors() ([]int, error) { return nil, errors.New("-apart needs Linux") }

func runThreadOn(int, []int) error { return nil }

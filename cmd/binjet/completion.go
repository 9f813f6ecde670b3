package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/consumer"
)

// completeTimeout bounds a completion: somebody waits with a finger on the key.
const completeTimeout = 2 * time.Second

// completing asks the broker of the configuration for names. Whatever goes wrong,
// there are none: a completion has nowhere to say why.
func completing(names func(ctx context.Context, js jetstream.JetStream, cfg config.Config) []string) completion {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		in := settingsInput(cmd, os.Environ())
		in.Offline = true
		cfg, err := config.Load(in)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		nc, err := connectNATS(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		list := slices.DeleteFunc(names(ctx, js, cfg), func(name string) bool { return !strings.HasPrefix(name, begun) })
		slices.Sort(list)
		return slices.Compact(list), cobra.ShellCompDirectiveNoFileComp
	}
}

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeStreams are all streams of the account.
func completeStreams() completion {
	return completing(func(ctx context.Context, js jetstream.JetStream, _ config.Config) (list []string) {
		for name := range js.StreamNames(ctx).Name() {
			list = append(list, name)
		}
		return list
	})
}

// completeSources are those with a checkpoint in the stream.
func completeSources() completion {
	return completing(func(ctx context.Context, js jetstream.JetStream, cfg config.Config) []string {
		return sourceNames(ctx, js, cfg.Stream.Name)
	})
}

// completeGivers are whom dead letters can be of: consumers, and sources.
func completeGivers() completion {
	return completing(func(ctx context.Context, js jetstream.JetStream, cfg config.Config) []string {
		list := sourceNames(ctx, js, cfg.Stream.Name)
		if stream, err := js.Stream(ctx, cfg.Stream.Name); err == nil {
			for name := range stream.ConsumerNames(ctx).Name() {
				if !strings.Contains(name, "~") { // what an ordered consumer reads through
					list = append(list, name)
				}
			}
		}
		ordered, _ := consumer.OrderedConsumers(ctx, js, cfg.Stream.Name)
		for _, one := range ordered {
			list = append(list, one.Name)
		}
		return list
	})
}

func sourceNames(ctx context.Context, js jetstream.JetStream, name string) (list []string) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(binjet.CheckpointSubject(">")))
	if err != nil {
		return nil
	}
	for subject := range info.State.Subjects {
		list = append(list, strings.TrimPrefix(subject, binjet.CheckpointSubject("")))
	}
	return list
}

// completeFixed are words that are known beforehand.
func completeFixed(words ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

package main

import (
	"context"
	"database/sql"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	wmsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
)

// forward is Watermill's forwarder with the defaults of all three, on the table that
// its SQL publisher makes for the topic "outbox".
func forward(ctx context.Context, s spec) error {
	db, err := sql.Open("mysql", s.DSN+"?parseTime=true")
	if err != nil {
		return err
	}
	defer db.Close()
	logger := watermill.NopLogger{}
	sub, err := wmsql.NewSubscriber(wmsql.BeginnerFromStdSQL(db), wmsql.SubscriberConfig{
		SchemaAdapter: wmsql.DefaultMySQLSchema{}, OffsetsAdapter: wmsql.DefaultMySQLOffsetsAdapter{}, InitializeSchema: true,
	}, logger)
	if err != nil {
		return err
	}
	pub, err := wmnats.NewPublisher(wmnats.PublisherConfig{URL: s.URL}, logger)
	if err != nil {
		return err
	}
	f, err := forwarder.NewForwarder(sub, pub, logger, forwarder.Config{ForwarderTopic: "outbox"})
	if err != nil {
		return err
	}
	return f.Run(ctx)
}

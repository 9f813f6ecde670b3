CREATE TABLE IF NOT EXISTS {{table}} (
  consumer    varchar(64) COLLATE "C" NOT NULL,
  message_id  varchar(64) COLLATE "C" NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (message_id, consumer)
);
CREATE INDEX IF NOT EXISTS {{index}} ON {{table}} (consumer, created_at)

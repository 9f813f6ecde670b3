CREATE TABLE IF NOT EXISTS {{table}} (
  consumer    TEXT NOT NULL,
  message_id  TEXT NOT NULL,
  created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
  PRIMARY KEY (consumer, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS {{index}} ON {{name}} (consumer, created_at)

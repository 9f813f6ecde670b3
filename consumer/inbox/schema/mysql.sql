CREATE TABLE IF NOT EXISTS {{table}} (
  consumer    VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  message_id  VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at  DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  batch       BIGINT       NULL,
  PRIMARY KEY (consumer, message_id),
  KEY consumer_created_at (consumer, created_at)
) ENGINE=InnoDB

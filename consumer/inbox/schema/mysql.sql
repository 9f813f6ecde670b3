CREATE TABLE IF NOT EXISTS {{table}} (
  consumer    VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  message_id  VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at  TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (consumer, message_id),
  KEY created_at (created_at)
) ENGINE=InnoDB

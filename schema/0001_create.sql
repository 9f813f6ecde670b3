CREATE TABLE IF NOT EXISTS {{table}} (
  id           VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  topic        VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  message_key  VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  headers      LONGBLOB     NULL,
  payload      LONGBLOB     NOT NULL,
  created_at   TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY ({{key}})
) ENGINE={{engine}} COMMENT='binjet outbox v1'{{partitions}}

package binjet_test

import (
	"fmt"

	"github.com/binjet/binjet"
)

func ExampleMessage_Validate() {
	m := binjet.Message{ID: "42", Topic: "orders..created", Key: "4711"}
	fmt.Println(m.Validate(0))
	// Output:
	// message "42" on topic "orders..created": topic "orders..created" has an empty token: dots divide tokens and stand neither first nor last; payload is empty
}

func ExampleSubject() {
	fmt.Println(binjet.Subject("outbox", "orders.created", "4711", 0))
	fmt.Println(binjet.Subject("outbox", "orders.created", "4711", 16))
	// Output:
	// outbox.orders.created
	// outbox.2.orders.created
}

func ExampleOutboxSQL() {
	sql, err := binjet.OutboxSQL("shop.events")
	if err != nil {
		panic(err)
	}
	fmt.Println(sql)
	// Output:
	// CREATE TABLE IF NOT EXISTS `shop`.`events` (
	//   id           VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	//   topic        VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	//   message_key  VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
	//   headers      LONGBLOB     NULL,
	//   payload      LONGBLOB     NOT NULL,
	//   created_at   TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
	//   PRIMARY KEY (id)
	// ) ENGINE=InnoDB COMMENT='binjet outbox v1'
}

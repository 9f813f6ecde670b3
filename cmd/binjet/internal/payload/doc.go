// Package payload shows the body of an event to people and to programs, by its
// Content-Type: JSON and MessagePack as JSON, Protobuf by its field numbers, since
// nobody here has its descriptor, text as text, and anything else as a hex dump.
//
// A payload comes from anywhere, and a terminal obeys escape sequences: what is
// printed as text holds no control characters but line breaks and tabs.
package payload

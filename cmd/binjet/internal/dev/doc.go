// Package dev runs what development on a laptop needs beside the streamer: a
// nats-server inside of this process, and a throw-away MySQL or MariaDB as its child,
// both on a directory ([Home]) that is kept. Neither asks for a password, so both
// listen on 127.0.0.1 only.
//
// Nothing here is for production: no commit of the database is forced to the disk.
package dev

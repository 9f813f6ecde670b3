module github.com/binjet/binjet/test

go 1.26.0

require github.com/binjet/binjet v0.0.0

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	github.com/go-sql-driver/mysql v1.10.1 // indirect
)

replace github.com/binjet/binjet => ../

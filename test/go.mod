module github.com/binjet/binjet/test

go 1.26.0

require github.com/binjet/binjet v0.0.0

replace github.com/binjet/binjet => ../

# binjet: what people run. `make` or `make help` lists it.
SHELL := /bin/bash
GO ?= go
export GOTOOLCHAIN ?= local

VERSION ?= $(shell git describe --tags --always 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

# Everything that is checked lives in these modules.
MODULES := . test examples test/bench-peers

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## See it work: a real server, a broker, a streamer that is killed again and again
	@cd examples && $(GO) run ./quickstart $(ARGS)

.PHONY: test
test: unit integration ## Prove the project: unit, race, integration on MySQL and on MariaDB

.PHONY: unit
unit: ## Unit tests with the race detector; no database server
	$(GO) test -race ./...
	cd examples && $(GO) test -race ./...

# Tests of a package that run at once. They wait for servers more than they compute, so it
# is more than a small machine has cores.
PARALLEL ?= 4

.PHONY: integration
integration: ## Tests on real MySQL and MariaDB, which they fetch and start themselves
	cd test && $(GO) test -race -count=1 -timeout 40m -parallel $(PARALLEL) ./...

.PHONY: test-containers
test-containers: ## Tests with databases in containers, and docker-compose.yml end to end, with no registry
	bash test/containers.sh

# What needs no more of a server than SQL and its binlog.
GIVEN := ./mapping ./produce

.PHONY: test-given
test-given: ## Tests on servers that run already: BINJET_TEST_MYSQL_ADDR, _MARIADB_ADDR, _NATS_URL
	@test -n "$$BINJET_TEST_MYSQL_ADDR$$BINJET_TEST_MARIADB_ADDR$$BINJET_TEST_NATS_URL" || { echo "set BINJET_TEST_MYSQL_ADDR or BINJET_TEST_MARIADB_ADDR to host:port, or BINJET_TEST_NATS_URL to nats://host:port"; exit 2; }
	cd test && $(GO) test -race -count=1 -p 1 $(GIVEN)

.PHONY: test-matrix
test-matrix: ## A part of the tests on each version of MySQL, MariaDB and NATS that is to be had; ARGS="-only MariaDB"
	@cd test && $(GO) run ./matrix $(ARGS)

# What reads bytes of others: each for FUZZTIME. Inputs that broke something are kept in
# testdata/fuzz and run with every test.
FUZZTIME ?= 60s
FUZZ := .:FuzzDecodeHeaders ./checkpoint:FuzzGTIDSet ./checkpoint:FuzzFilePosition ./checkpoint:FuzzDecode ./binlog:FuzzRows ./binlog:FuzzCursor ./cmd/binjet/internal/config:FuzzYAML

.PHONY: fuzz
fuzz: ## Fuzz the decoders, FUZZTIME=60s each
	@GO=$(GO) bash test/fuzz.sh $(FUZZTIME) $(FUZZ)

.PHONY: torture
torture: ## Try to break it: TORTURE="-duration 10m -seed 7" for other than two minutes; then the whole model
	cd test && $(GO) test -count=1 -timeout 24h -v ./torture -run TestTorture -all -duration 2m $(TORTURE)
	cd test && $(GO) test -count=1 -timeout 24h -v ./model -deep

.PHONY: bench
bench: ## Measure binjet beside what limits it: ARGS="-rows 200000 -only drain"; -h lists the flags
	@cd test && $(GO) run ./bench $(ARGS)

.PHONY: bench-consumer
bench-consumer: ## Measure the consumer beside nats.go by hand and Watermill's router
	@cd test/bench-peers && GOWORK=off $(GO) run . $(ARGS)

.PHONY: bench-tables
bench-tables: ## Measure what a row costs its transaction, by what becomes of the row
	@cd test && $(GO) run ./bench-tables $(ARGS)

.PHONY: bench-insert
bench-insert: ## Measure Insert beside the same statement by hand, in turns, on real servers
	@cd test && $(GO) test -run - -bench Insert -benchtime 200x $(ARGS) ./produce

.PHONY: lint
lint: fmt-check vet staticcheck tidy-check verify ## All static checks

.PHONY: fmt-check
fmt-check:
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt these files:"; echo "$$out"; exit 1; }

.PHONY: vet
vet:
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(GO) vet ./...) || exit 1; done
	@cd test && GOWORK=off $(GO) vet -tags containers ./compose

.PHONY: staticcheck
staticcheck:
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(GO) tool -modfile=$(CURDIR)/test/tools.mod staticcheck ./...) || exit 1; done

.PHONY: tidy-check
tidy-check:
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(GO) mod tidy -diff) || { echo "run 'make tidy' and commit"; exit 1; }; done

.PHONY: verify
verify: ## Compare every module's content with its checksum
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(GO) mod verify >/dev/null) || exit 1; done

# No part of CI, since it asks Go's vulnerability database, and CI may have no internet.
.PHONY: vuln
vuln: ## Look for known vulnerabilities (needs internet)
	@for m in . test examples; do echo "== $$m"; (cd $$m && GOWORK=off $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...) || exit 1; done

.PHONY: tidy
tidy: ## Tidy every module
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(GO) mod tidy) || exit 1; done

.PHONY: build
build: ## Build the binjet command into bin/
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION) -X main.commit=$(COMMIT)" -o bin/binjet ./cmd/binjet

IMAGE ?= binjet:local
SHOP_IMAGE ?= binjet-shop:local

.PHONY: image
image: ## Build the images of docker-compose.yml from binaries that this machine builds, without a registry
	@mkdir -p bin/image
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)" -o bin/image/binjet ./cmd/binjet
	cd examples && CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags "-s -w" -o ../bin/image/shop ./shop
	docker build -q -f deploy/Dockerfile.prebuilt -t $(IMAGE) .
	docker build -q -f examples/shop/Dockerfile.prebuilt -t $(SHOP_IMAGE) .

.PHONY: release
release: ## Archives of binjet for each platform, and their checksums, in dist/; VERSION=v1.2.3
	GO=$(GO) VERSION=$(VERSION) COMMIT=$(COMMIT) bash deploy/release.sh

.PHONY: ci
ci: ## What decides whether a change lands
	bash .ci/run

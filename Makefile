# The menu of this repository: `make help`. Every verb does its own set-up.

# One set of build flags for development, tests, CI and releases: other flags
# would compile the embedded Temporal server a second time (eight minutes).
export CGO_ENABLED = 0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
GO      ?= go
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build slim demo run test slow soak race fuzz bench bench-baseline bench-convert bench-io bench-memory bench-download bench-lists bench-inspect bench-bulk lint errors images replay clean setup servers

help: ## show this menu
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: bin/ingest ## build bin/ingest, with the embedded Temporal server

.PHONY: bin/ingest
bin/ingest:
	@scripts/announce "building bin/ingest (the first time compiles the Temporal server: 5 to 10 minutes on 2 cores)"
	$(GO) build -ldflags '$(LDFLAGS)' -o $@ ./cmd/ingest

slim: ## build bin/ingest-slim, without the embedded server, for clusters
	$(GO) build -tags noembed -ldflags '$(LDFLAGS)' -o bin/ingest-slim ./cmd/ingest

setup: ## install what tests and the demo need (Debian packages)
	@scripts/setup

servers: ## build the two S3 servers that tests talk to, into the user's cache folder
	@scripts/servers

demo: setup build ## import eight images of one disk through every stage, and refuse a hostile one
	$(GO) run ./internal/tools/demo -ingest bin/ingest

run: build ## run the server on 127.0.0.1:9292, data in ./ingest-data
	bin/ingest serve

test: setup servers ## vet, determinism of workflows, unit, replay and integration tests
	@scripts/test

slow: ## boot real systems from every format that is written, look into a real Debian (15 minutes, 200 MB to download)
	@scripts/setup slow
	INGEST_SLOW=1 $(GO) test ./internal/boottest -timeout 20m -run 'LinuxBoots|BootLoaders' -v
	INGEST_SLOW=1 $(GO) test ./guest -timeout 20m -run 'TestDebian' -v

# ARGS=5000 imports so many
soak: setup ## import 1,000 small disks as one bulk, while the server is killed and a source is away
	INGEST_SOAK=$(or $(ARGS),1000) $(GO) test ./e2e -run '^TestBulkSoak$$' -v -timeout 2h

race: setup servers ## the tests of everything but the embedded server, under the race detector
	@scripts/race

fuzz: ## fuzz every parser for FUZZTIME (30s) each
	@scripts/fuzz $(FUZZTIME)

bench: setup ## benchmarks of every reader and writer and of the engine, beside the committed baseline
	@scripts/bench

bench-baseline: setup ## make what is measured now the baseline of `make bench`
	@scripts/bench -update

# Flags of the tool: make bench-convert ARGS='-only "^convert" -pairs 1 -size 1GiB'
bench-convert: build setup ## every conversion beside qemu-img, imports beside curl and Glance (an hour or more; ARGS=-list)
	@$(GO) run ./internal/tools/convertbench -ingest bin/ingest $(ARGS)

bench-memory: build setup ## import 20 GiB virtual, 4 GiB allocated, and print the resident memory
	$(GO) run ./internal/tools/memory -ingest bin/ingest

bench-download: build setup ## downloads beside nginx with the same file, and the memory of 500 slow ones (ARGS='-size 4294967296')
	@$(GO) run ./internal/tools/downloadbench -ingest bin/ingest $(ARGS)

bench-io: ## read a source over a link of 125 MB/s with 0, 20 and 100 ms of latency
	$(GO) test -run '^$$' -bench '^BenchmarkIO$$' -benchtime 3x ./pipeline

bench-lists: ## list 100 images from a catalogue of 100,000 over HTTP, and print the medians
	$(GO) test -run '^$$' -bench '^BenchmarkLists$$' -benchtime 100x ./api

# Flags of the tool: make bench-bulk ARGS='-items 0 -pairs 1 -pair-items 200'
bench-bulk: build ## a bulk of 10,000 tiny disks, and three beside bare workflows with as many activities (an hour or more)
	@$(GO) build -o bin/bulkbench ./internal/tools/bulkbench
	@bin/bulkbench -ingest bin/ingest $(ARGS)

bench-inspect: build setup ## inspect a disk of 1 TiB in every format, and print the memory and processor time
	$(GO) run ./internal/tools/memory -ingest bin/ingest -inspect

lint: ## gofmt, vet, import rules, workflow determinism, golangci-lint if installed
	@scripts/lint

replay: ## record the workflow histories of workflows/testdata/replay again
	$(GO) test ./workflows/replaytest -run TestRecord -update-replay

errors: ## write docs/errors.md again from the table of codes
	$(GO) test ./internal/errcode -update

images: setup ## make the images of testdata/images again by their recipe
	$(GO) run ./internal/tools/images

clean: ## remove what was built and what the demo left
	rm -rf bin demo-data

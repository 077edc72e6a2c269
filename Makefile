# The one place that says how Stockroom is built and tested. CI calls the same targets.

export CGO_ENABLED ?= 0
FUZZTIME ?= 10s
SEEDS ?= 1-200

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the one static binary, ./stockroom.
	go build -trimpath -o stockroom ./cmd/stockroom

.PHONY: test
test: ## Run all tests. Those that hold the code to Shopify's published schema need npm, one drives Chromium.
	@scripts/need npm chromium
	go test -timeout 30m ./...

.PHONY: race
race: export CGO_ENABLED = 1
race: ## Run all tests under the race detector, which needs a C compiler.
	@scripts/need npm gcc chromium
	go test -race -timeout 60m ./...

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME each, as in: make fuzz FUZZTIME=1m
	@scripts/need npm
	scripts/fuzz $(FUZZTIME)

.PHONY: sim
sim: ## Simulate weeks in seconds, as in: make sim SEEDS=1-200; records in .sim/ and resumes. See docs/simulation.md.
	go run ./internal/devtools/simrun $(SEEDS)

.PHONY: mutants
mutants: ## Plant mistakes in a copy of the tree, one at a time, and show what catches each.
	go run ./internal/devtools/mutants

.PHONY: lint
lint: ## Check format, usual mistakes and known vulnerabilities; a finding fails.
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted (make fmt mends it):"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	scripts/vulncheck

.PHONY: fmt
fmt: ## Format the Go code.
	gofmt -w .

.PHONY: generate
generate: ## Make the generated files anew: GraphQL operations, docs/settings.md.
	@scripts/need npm
	go generate ./...

.PHONY: demo
demo: ## Run Stockroom against a simulated shop: no account, no network.
	go run ./cmd/stockroom demo

.PHONY: cover
cover: ## Show how much of the code the tests run.
	@scripts/need npm chromium
	go test -coverprofile=cover.out ./...
	go tool cover -func=cover.out | tail -n 1
	@echo "line by line: go tool cover -html=cover.out"

.PHONY: bench
bench: ## Measure the simulator with a million variants, some minutes; writes docs/benchmarks.md.
	go run ./internal/simulator/simbench -output docs/benchmarks.md

.PHONY: bench-polls
bench-polls: build ## Measure imports and polls of 10,000 and 100,000 products; figures for docs/benchmarks.md, some half an hour.
	go run ./internal/devtools/pollbench -variants 30000,300000

.PHONY: clean
clean: ## Remove what the other targets made.
	rm -f stockroom cover.out

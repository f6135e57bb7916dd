# What the README's commands do. Every target installs what it needs (scripts/setup) and can be run alone.
.PHONY: run build test test-workspace test-plugins test-scripts interop bench bench-quick bench-parts bench-dtls bench-memory bench-durability bench-outbox bench-store bench-translators instructions instructions-update fmt clippy doc fuzz fuzz-quick soak

FUZZ_SECONDS ?= 600
CARGO ?= cargo
RUSTDOC = -D warnings -A rustdoc::private-intra-doc-links

run: ## Build the gateway and show what it does: a broker, a device and their messages
	scripts/setup run
	$(CARGO) run -p tidegate -- demo

build: ## The gateway, optimised, as target/release/tidegate
	scripts/setup run
	$(CARGO) build --release -p tidegate

test: test-scripts test-workspace test-plugins ## Everything that needs no other client than the simulated ones

test-workspace:
	scripts/setup test
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace --no-fail-fast

test-plugins:
	scripts/setup run
	$(CARGO) test --manifest-path guest-sdk/Cargo.toml --workspace --features case
	$(CARGO) test --manifest-path plugins/Cargo.toml
	scripts/plugins-build --check
	scripts/engine-build --check
	$(CARGO) build -p tidegate
	$(CARGO) test -p tidegate-tests --test devkit -- --include-ignored --nocapture

test-scripts:
	scripts/setup scripts
	python3 -m unittest discover -s scripts/tests

interop: ## Real third-party clients and tools: those that scripts/setup interop names
	scripts/setup interop
	$(CARGO) build -p tidegate
	$(CARGO) test -p tidegate-tests --no-fail-fast --test 'interop_*' -- --ignored --nocapture

bench: ## What a message costs, beside other gateways and what is to be reached: writes docs/benchmarks.md (an hour at most)
	scripts/setup bench
	$(CARGO) build --release -p tidegate
	scripts/bench

bench-quick: ## The same, briefly, only printed
	scripts/setup bench
	$(CARGO) build --release -p tidegate
	scripts/bench --quick

bench-parts: ## How long payloads take to be read and written, and how many allocations
	scripts/setup run
	$(CARGO) bench -p tidegate-proto --bench format
	$(CARGO) bench -p tidegate-dtls --bench hello --bench record --bench handshake

bench-dtls: ## Associations beside Californium's: handshakes, records, memory
	scripts/setup interop
	$(CARGO) bench --profile dev -p tidegate-dtls --bench beside

bench-memory: ## What a registered and observed client takes in memory, and a registration in time
	scripts/setup run
	$(CARGO) bench -p tidegate-proto --bench memory

bench-outbox: ## What it costs that publications are on the disk before a device is answered
	scripts/setup run
	$(CARGO) test -p tidegate --lib -- --ignored --nocapture --exact mqtt::outbox::tests::bench

bench-durability: ## What it costs a gateway that nothing acknowledged is lost, and how fast what waited for the broker goes out
	scripts/setup test
	$(CARGO) build --release -p tidegate
	TIDEGATE_BIN="$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/tidegate" \
	  $(CARGO) test -p tidegate-tests --test bench_durability -- --ignored --nocapture --test-threads 1

bench-store: ## What a restart with 100,000 clients costs, and how long a registration takes until it is durable
	scripts/setup run
	$(CARGO) test -p tidegate --lib -- --ignored --nocapture --exact app::keeping::tests::bench

# In the release profile: the assertions of wasmtime that are in the dev profile cost half of a call.
bench-translators: ## What a translator's call costs: the default one in WebAssembly and natively, and JavaScript
	scripts/setup run
	$(CARGO) bench -p tidegate --bench translators

instructions: ## Instructions of fixed paths beside those in host/benches/instructions.toml: none may grow by more than 10 percent
	scripts/setup instructions
	scripts/instructions

instructions-update: ## Write that file anew
	scripts/setup instructions
	scripts/instructions --update

fmt: ## Format everything
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path guest-sdk/Cargo.toml --all
	$(CARGO) fmt --manifest-path plugins/Cargo.toml --all

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --manifest-path guest-sdk/Cargo.toml --workspace --features case --all-targets -- -D warnings
	$(CARGO) clippy --manifest-path plugins/Cargo.toml --all-targets -- -D warnings

# For those who work on it, so with what is private.
doc:
	RUSTDOCFLAGS="$(RUSTDOC)" $(CARGO) doc --workspace --no-deps --document-private-items
	RUSTDOCFLAGS="$(RUSTDOC)" $(CARGO) doc --manifest-path guest-sdk/Cargo.toml --workspace --features case --no-deps --document-private-items

soak: ## Two thousand clients that come and go for ten minutes (or TIDEGATE_SOAK_SECONDS): nothing is lost, nothing grows
	scripts/setup test
	$(CARGO) build -p tidegate
	$(CARGO) test -p tidegate-tests --test soak -- --ignored --nocapture

fuzz: ## Every fuzz target in turn, ten minutes in all
	scripts/setup fuzz
	scripts/fuzz $(FUZZ_SECONDS)

fuzz-quick:
	$(MAKE) fuzz FUZZ_SECONDS=60

# `make` lists what there is.

.DEFAULT_GOAL := help
.PHONY: help run providers run-real demo-test build test lint check bench soak clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\): .*## /  make \1 \t/p' $(MAKEFILE_LIST) | expand -t 20

# The program needs to be neither small nor quick to load: a minute instead of four.
QUICKLY := CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

run: build       ## Waypost in Envoy, with fake providers: no key, no network needed
	@python3 examples/demo/run.py

providers: build ## the same with a fake of each of the sixteen providers, and a request to try for each
	@python3 examples/demo/run.py --providers

run-real: build  ## as `run`, with the real providers; OPENAI_API_KEY and ANTHROPIC_API_KEY from the environment
	@python3 examples/demo/run.py --real

build:           ## the module for Envoy, and the waypost program
	@rustup target list --installed | grep -qx wasm32-wasip1 || rustup target add wasm32-wasip1
	cargo build --release --lib --target wasm32-wasip1
	$(QUICKLY) cargo build --release --bin waypost

test:            ## everything that CI runs (30 minutes on two cores); `make test STEPS="lint native"` for a part
	@python3 tests/all.py $(STEPS)

demo-test: build ## the requests that `make run` and `make providers` suggest, against a real Envoy
	@python3 examples/demo/run.py --try
	@python3 examples/demo/run.py --providers --try

lint:            ## warnings are errors
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --lib --target wasm32-wasip1 -- -D warnings

CONFIGS := envoy/envoy.yaml examples/providers/envoy.yaml examples/bedrock/envoy.yaml

check: build     ## the shipped configurations as Waypost reads them, then as Envoy does
	for config in $(CONFIGS); do target/release/waypost check $$config || exit 1; done
	for config in $(CONFIGS); do "$$(python3 envoy/install.py)" --mode validate -c $$config --log-level warning || exit 1; done

BENCH := target/bench/release/bench

bench: build     ## the cost of a request, against the same Envoy without the module (8 minutes)
	cargo build --release --manifest-path tests/bench/Cargo.toml --target-dir target/bench
	$(BENCH) run --envoy "$$(python3 envoy/install.py)"

soak: build      ## a million mixed requests; memory must stay level
	cargo build --release --manifest-path tests/bench/Cargo.toml --target-dir target/bench
	$(BENCH) soak --envoy "$$(python3 envoy/install.py)"

clean:           ## everything that was built or installed
	cargo clean
	rm -rf .local

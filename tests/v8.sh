#!/usr/bin/env bash
# Runs the unit tests and the goldens in V8, where the module runs too, and compares how many ran with how
# many there are natively: a test that is silently left out is a failure. `cargo test` runs them natively.
#
#   tests/v8.sh
#   tests/v8.sh runner      only installs what runs them
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/version = |"/, ""); print }' Cargo.lock)

# The runner must be of the very version of the library.
runner=$(command -v wasm-bindgen-test-runner || true)
if [ -z "$runner" ] || [ "$("$runner" --version | awk '{ print $2 }')" != "$version" ]; then
    runner=$PWD/.local/bin/wasm-bindgen-test-runner
    if [ ! -x "$runner" ] || [ "$("$runner" --version | awk '{ print $2 }')" != "$version" ]; then
        # Only the program that is needed, without what fetches drivers of browsers by HTTPS, and hardly
        # optimised: it works for a second or two.
        export CARGO_PROFILE_RELEASE_OPT_LEVEL=1
        install=(cargo install wasm-bindgen-cli --version "$version" --root .local --quiet)
        install+=(--bin wasm-bindgen-test-runner --no-default-features)
        # Its own lock file may name a version that a registry does not have yet, or no longer.
        "${install[@]}" --locked || "${install[@]}"
        unset CARGO_PROFILE_RELEASE_OPT_LEVEL
    fi
fi
[ "${1:-}" != runner ] || exit 0

# A source of randomness has no place in the module; without it none can creep in.
if cargo tree --target "$target" --edges normal,dev --prefix none | grep -E '^(getrandom|rand) '; then
    echo "v8: the crates above bring randomness into $target" >&2
    exit 1
fi

# The goldens are compiled in, and cargo does not see a new file among them.
if [ -n "$(find tests/golden -newer tests/support/fixtures.rs -print -quit)" ]; then
    touch tests/support/fixtures.rs
fi

listed() { awk '/^[0-9]+ tests?, / { sum += $1 } END { print sum + 0 }'; }
passed() { awk '/^test result: ok/ { sum += $4 } END { print sum + 0 }'; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Runs a command, and counts by its output.
run() {
    local count=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        return 1
    fi
    "$count" <"$log"
}
native=$(run listed cargo test --lib --test golden --test invoices -- --list)
v8=$(CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$runner run passed \
    cargo test --target "$target" --lib --test golden --test invoices)

echo "tests: native $native, V8 $v8"
[ "$native" -gt 0 ] && [ "$native" -eq "$v8" ]

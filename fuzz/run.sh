#!/usr/bin/env bash
# Fuzzes each target for SECONDS, two at a time, on stable Rust. Prints a line for each and fails when
# one found something; the input is then in fuzz/artifacts/<target>/.
#
#   fuzz/run.sh SECONDS [TARGET…]
#   fuzz/run.sh build               only compiles them
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?"usage: fuzz/run.sh SECONDS [TARGET…], or fuzz/run.sh build"}
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(cd targets && ls ./*.rs | sed 's|^\./||; s|\.rs$||')
fi

# What cargo-fuzz sets, without the address sanitizer: that needs a nightly compiler, and there is no
# unsafe code to check. With --target, build scripts and macros are left alone.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions --cfg fuzzing"
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$PWD/target}
cargo build --release --quiet --target "$host" --bins
[ "$seconds" != build ] || exit 0
python3 seeds.py

run() {
    local target=$1 log="$CARGO_TARGET_DIR/$1.log" state=ok
    mkdir -p "corpus/$target" "artifacts/$target"
    # -timeout and -rss_limit_mb make a hang and a growing buffer a finding.
    "$CARGO_TARGET_DIR/$host/release/$target" "corpus/$target" \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=65536 \
        -artifact_prefix="artifacts/$target/" -print_final_stats=1 >"$log" 2>&1 || state=CRASH
    local executions coverage
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    # A fuzzer that never ran has found nothing either, and must not look well.
    [ "${executions:-0}" -gt 0 ] || state=${state/ok/DID-NOT-RUN}
    printf '%-18s %-6s executions %-9s coverage %s\n' \
        "$target" "$state" "${executions:-0}" "${coverage:-0}"
    if [ "$state" != ok ]; then
        grep -h -A 1 -E "panicked at|ERROR: libFuzzer|Test unit written" "$log" | cut -c 1-300 | head -n 8
        return 1
    fi
}

failed=0
running=0
for target in "${targets[@]}"; do
    run "$target" &
    running=$((running + 1))
    if [ "$running" -ge 2 ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
done
while [ "$running" -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
exit "$failed"

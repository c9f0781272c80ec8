#!/usr/bin/env python3
"""Everything that says whether Waypost works, quickest first: `make test`.

    python3 tests/all.py                 all steps
    python3 tests/all.py lint native     some of them
    python3 tests/all.py --list          their names

Each step's output goes to .local/tests/STEP.log and is shown when it fails. The last line counts tests over all steps; a step
that ran no test although it is made of tests has failed. While the first steps compile, what later ones need is compiled as well
(`ahead`), because a compiler and a test often leave a core idle; nothing runs beside the steps that time a real Envoy.
"""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
LOGS = LOCAL / "tests"
VENV = LOCAL / "venv"
PYTHON = str(VENV / "bin" / "python")
MODULE = ROOT / "target/wasm32-wasip1/release/waypost.wasm"
TRAP = ROOT / "target/trap/wasm32-wasip1/release/waypost.wasm"
FUZZ_SECONDS = 12
E2E_FILES_AT_ONCE = 3

# The property tests take their random cases from this, so that a step that turns red does so by a change and not by chance.
# `cargo test` by itself tries others each time.
PROPTEST_SEED = 20_260_401

# Nobody debugs what is built here; with debug information a third more is to be compiled and linked.
os.environ.setdefault("CARGO_PROFILE_DEV_DEBUG", "0")

# For what must work and need be neither small nor fast: without optimising over crates.
QUICKLY_BUILT = {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}

# Largest module that may be shipped, in bytes: Envoy compiles all of it for every new configuration.
MODULE_LIMIT = 1_500_000


def run(*command, **env):
    return ("run", [str(part) for part in command], {name: str(value) for name, value in env.items()})


def beside(*lanes):
    """Commands one after the other in each lane, and the lanes side by side."""
    return ("beside", lanes)


def programs(**env):
    """What `cargo test --no-fail-fast` runs: see `run_programs`."""
    return ("programs", {name: str(value) for name, value in env.items()})


BUILD = ["cargo", "build", "--release", "--lib", "--target", "wasm32-wasip1"]
BUILD_PROGRAM = run("cargo", "build", "--release", "--bin", "waypost", **QUICKLY_BUILT)
BUILD_TRAP = run(*BUILD, "--features", "trap", "--target-dir", "target/trap", **QUICKLY_BUILT)
BENCH = ["--manifest-path", "tests/bench/Cargo.toml", "--target-dir", "target/bench"]
TEST_BENCH = run("cargo", "test", *BENCH)
DECIDE = run("cargo", "run", "--quiet", *BENCH, "--", "decide", "--quick", **QUICKLY_BUILT, CARGO_PROFILE_RELEASE_OPT_LEVEL="1")


def ahead():
    """Commands of a step that may run before it, in a target directory of their own. The step runs them itself as well, if they
    failed here or came too late: here they only leave less to do."""
    return [
        ("v8", run("bash", "tests/v8.sh", "runner")),
        ("build", BUILD_TRAP),
        ("scripts", TEST_BENCH),
        ("scripts", DECIDE),
        ("fuzz", run("bash", "fuzz/run.sh", "build")),
    ]


# Steps beside which the commands of `ahead` may run.
COMPILING = {"lint", "native", "v8", "build"}


def steps():
    """Name, what it is, the commands. `COUNTED` steps are made of tests."""
    e2e = [PYTHON, "-m", "pytest", "tests/e2e"]
    side_by_side = ["-n", E2E_FILES_AT_ONCE, "--dist", "loadfile", "--no-loadscope-reorder"]
    return [
        ("lint", "formatting, and warnings as errors, for every target", [
            run("cargo", "fmt", "--check"),
            run("cargo", "clippy", "--all-targets", "--", "-D", "warnings"),
            run("cargo", "clippy", "--lib", "--target", "wasm32-wasip1", "--features", "trap", "--", "-D", "warnings"),
        ]),
        ("native", "unit, golden, property and command line tests", [
            programs(PROPTEST_RNG_SEED=PROPTEST_SEED),
            run("cargo", "test", "--doc"),
        ]),
        ("v8", "the unit and golden tests once more in V8", [run("bash", "tests/v8.sh")]),
        ("build", "the module, the program, and the module's size", [
            # Optimising one module takes one core.
            beside([run(*BUILD), BUILD_PROGRAM], [BUILD_TRAP]),
            ("size", MODULE, MODULE_LIMIT),
        ]),
        ("scripts", "the renderer, the fake providers, the module's calls of its host, the measuring tool", [
            run(sys.executable, "-m", "unittest", "discover", "-s", "envoy", "-p", "test_*.py"),
            run(sys.executable, "-m", "unittest", "discover", "-s", "examples/fakes", "-p", "test_*.py"),
            run("node", "--test", "tests/calls/calls.test.mjs"),
            TEST_BENCH,
            DECIDE,
        ]),
        ("config", "the shipped configurations, as Waypost and as Envoy read them", [
            run("target/release/waypost", "check", "envoy/envoy.yaml"),
            run("ENVOY", "--mode", "validate", "-c", "envoy/envoy.yaml", "--log-level", "warning"),
            run("target/release/waypost", "check", "examples/providers/envoy.yaml"),
            run("ENVOY", "--mode", "validate", "-c", "examples/providers/envoy.yaml", "--log-level", "warning"),
            run("target/release/waypost", "check", "examples/bedrock/envoy.yaml"),
            run("ENVOY", "--mode", "validate", "-c", "examples/bedrock/envoy.yaml", "--log-level", "warning"),
            run(sys.executable, "envoy/render.py", "--set", "gateway=@examples/mirror/gateway.json", "-o", LOGS / "mirror.yaml"),
            run("target/release/waypost", "check", LOGS / "mirror.yaml"),
            run("ENVOY", "--mode", "validate", "-c", LOGS / "mirror.yaml", "--log-level", "warning"),
            run("ENVOY", "--mode", "validate", "-c", "tests/bench/envoy.yaml", "--log-level", "warning"),
        ]),
        ("demo", "the requests that the README and the demos show, against a real Envoy", [
            run(sys.executable, "examples/demo/run.py", "--try", "--offset", "21300"),
            run(sys.executable, "examples/demo/run.py", "--providers", "--try", "--offset", "21300"),
        ]),
        ("e2e", "a real Envoy with two workers: failover, load, hardening, TLS", [
            # Most of them wait most of the time.
            run(*e2e, "--durations=25", *side_by_side, "-m", "not alone", WAYPOST_TRAP_WASM=TRAP),
            run(*e2e, "--durations=25", "-m", "alone", WAYPOST_TRAP_WASM=TRAP),
        ]),
        ("sdk-python", "the official OpenAI client for Python, every provider behind it", [run(PYTHON, "-m", "pytest", "tests/sdk/python")]),
        ("sdk-node", "the official OpenAI client for Node, every provider behind it", [
            run("npm", "ci", "--prefix", "tests/sdk/node", "--no-audit", "--no-fund", "--silent"),
            run("npm", "test", "--prefix", "tests/sdk/node", PYTHON=PYTHON),
        ]),
        ("fuzz", f"every parser, {FUZZ_SECONDS} seconds each", [run("bash", "fuzz/run.sh", FUZZ_SECONDS)]),
    ]


COUNTED = {"native", "v8", "scripts", "e2e", "sdk-python", "sdk-node", "fuzz"}


def count(log):
    """Tests passed and failed, by what the runners print at their end."""
    passed = failed = 0
    for line in log.splitlines():
        if match := re.match(r"test result: \w+\. (\d+) passed; (\d+) failed", line):  # cargo
            passed, failed = passed + int(match[1]), failed + int(match[2])
        elif match := re.match(r"tests: native \d+, V8 (\d+)", line):  # tests/v8.sh
            passed += int(match[1])
        elif re.match(r"\S+ +ok +executions +\d+", line):  # fuzz/run.sh
            passed += 1
        elif re.match(r"\S+ +(CRASH|DID-NOT-RUN) +executions", line):
            failed += 1
        elif match := re.match(r"Ran (\d+) tests? in", line):  # unittest: failures are told apart below
            passed += int(match[1])
        elif match := re.match(r"FAILED \((.*)\)$", line):  # unittest
            bad = sum(int(number) for number in re.findall(r"(?:failures|errors)=(\d+)", match[1]))
            passed, failed = passed - bad, failed + bad
        elif re.match(r"=* ?(\d+ \w+, )*\d+ (passed|failed|error|errors|skipped)\b.* in [\d.]+s", line):  # pytest
            for number, what in re.findall(r"(\d+) (passed|failed|errors?)\b", line):
                if what == "passed":
                    passed += int(number)
                else:
                    failed += int(number)
        elif match := re.match(r"(?:# |ℹ )(pass|fail) (\d+)$", line):  # node
            if match[1] == "pass":
                passed += int(match[2])
            else:
                failed += int(match[2])
    return passed, failed


def run_programs(log, env):
    """Builds what `cargo test` runs, and runs each program on a core of its own: one after the other, as cargo does it, most of them
    leave a core idle."""
    build = ["cargo", "test", "--no-run", "--message-format=json-render-diagnostics"]
    log.write(f"$ {' '.join(build)}\n")
    log.flush()
    built = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True)
    if built.returncode != 0:
        return False
    artifacts = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    tests = [(Path(one["target"]["src_path"]).relative_to(ROOT), one["executable"]) for one in artifacts
             if one["reason"] == "compiler-artifact" and one["profile"]["test"] and one["executable"]]

    def test(source, program):
        done = subprocess.run([program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              env={**os.environ, "RUST_TEST_THREADS": "1", **env}, text=True, errors="replace")
        return source, done

    good = bool(tests)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, done in pool.map(lambda one: test(*one), tests):
            log.write(f"     Running {source}\n{done.stdout}")
            if done.returncode != 0:
                log.write(f"error: {source} ended with {done.returncode}\n")
                good = False
    log.flush()
    return good


def execute(name, commands, envoy):
    """Runs a step; gives its log and whether every command succeeded."""
    path = LOGS / f"{name}.log"
    good = True
    with path.open("w", encoding="utf-8") as log:
        for kind, *rest in commands:
            if kind == "beside":
                [lanes] = rest
                names = [f"{name}-{number}" for number in range(1, len(lanes) + 1)]
                with ThreadPoolExecutor(len(lanes)) as pool:
                    for text, fine in pool.map(execute, names, lanes, [envoy] * len(lanes)):
                        log.write(text)
                        good = good and fine
                continue
            if kind == "programs":
                [env] = rest
                good = run_programs(log, env) and good
                continue
            if kind == "size":
                module, limit = rest
                size = module.stat().st_size if module.exists() else None
                log.write(f"{module.name}: {size} bytes, limit {limit}\n")
                good = good and size is not None and size <= limit
                continue
            command, env = rest
            command = [envoy if part == "ENVOY" else part for part in command]
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            done = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  env={**os.environ, **({"ENVOY": envoy} if envoy else {}), **env})
            good = good and done.returncode == 0
    return path.read_text(encoding="utf-8", errors="replace"), good


def main():
    table = steps()
    names = [name for name, _, _ in table]
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if "--list" in sys.argv:
        for name, what, _ in table:
            print(f"{name:12} {what}")
        return 0
    if unknown := set(wanted) - set(names):
        print(f"all.py: no such step: {', '.join(sorted(unknown))}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    chosen = [step for step in table if not wanted or step[0] in wanted]
    prepare = [sys.executable, str(ROOT / "tests" / "prepare.py")]
    if (compiler := subprocess.run([*prepare, "rust"])).returncode != 0:
        return compiler.returncode
    lane = ThreadPoolExecutor(1)
    try:
        prepared = lane.submit(subprocess.run, prepare, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        early = [(name, lane.submit(execute, f"ahead-{name}", [command], None)) for name, command in ahead()
                 if name in {chosen_name for chosen_name, _, _ in chosen}]
        return follow(chosen, prepared, early)
    finally:
        lane.shutdown(cancel_futures=True)


def follow(chosen, prepared, early):
    """Runs the steps one after the other; `prepared` and `early` are what runs beside the first of them."""
    envoy = None
    total_passed = total_failed = 0
    for name, what, commands in chosen:
        print(f"{name:12} {what} … ", end="", flush=True)
        began = time.monotonic()
        for step, command in early:
            if step == name or name not in COMPILING:
                command.result()
        if envoy is None and name not in COMPILING:
            if (done := prepared.result()).returncode != 0:
                print(f"\n{done.stderr}", file=sys.stderr)
                return done.returncode
            envoy = done.stdout.strip().splitlines()[-1]
        waited = time.monotonic() - began
        log, good = execute(name, commands, envoy)
        passed, failed = count(log)
        if name in COUNTED and passed + failed == 0:
            good = False
            log += "\nno test ran\n"
        if name not in COUNTED:
            passed = 1 if good else 0
        if not good and failed == 0:
            failed = 1
        total_passed, total_failed = total_passed + passed, total_failed + failed
        took = f"{time.monotonic() - began:.0f} s"
        if waited >= 1:
            took += f", {waited:.0f} of them for what was compiled ahead"
        print(f"{passed} passed, {failed} failed, {took}", flush=True)
        if failed:
            tail = log.splitlines()[-int(os.environ.get("TAIL", "120")):]
            print("\n".join("    " + line for line in tail), flush=True)
    print(f"{total_passed} passed, {total_failed} failed", flush=True)
    return 1 if total_failed else 0


if __name__ == "__main__":
    sys.exit(main())

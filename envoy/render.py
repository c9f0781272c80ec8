#!/usr/bin/env python3
"""Renders envoy.yaml with other addresses, ports and files.

A line of the template that may change carries a mark:

    address: { socket_address: { address: api.openai.com, port_value: 443 } }   # mark: openai, demo 127.0.0.1:9001
    transport_socket:                                                           # mark: openai_tls, demo off

--demo puts in the values behind "demo"; --set NAME=VALUE puts in any other. A value is one of

    off             removes the line, and all lines below it that are indented deeper
    HOST:PORT       replaces address and port_value on the line
    PORT            replaces port_value on the line
    a file's name   replaces filename on the line
    KEY: VALUE      replaces the whole line
    @FILE           replaces what stands below the line's key by the content of FILE (JSON, or YAML on one line)

A mark that does not exist, a value that does not fit its line, a mark set twice: an error, and nothing is written.
"""

import argparse
import re
import sys
from pathlib import Path

MARK = re.compile(r"\s+# mark: (?P<name>[a-z0-9_]+)(?:, demo (?P<demo>.+?))?\s*$")


class Misfit(Exception):
    """A value that cannot be put in."""


def replaced(pattern, value, line):
    """The line with the first group of `pattern` replaced, or None when it does not occur exactly once."""
    found = list(re.finditer(pattern, line))
    if len(found) != 1:
        return None
    start, end = found[0].span(1)
    return line[:start] + value + line[end:]


def put(line, name, value):
    """The line with `value` in its place, and whether the lines below it go."""
    indent = line[: len(line) - len(line.lstrip())]
    if line.lstrip().startswith("- ") and value == "off":
        raise Misfit(f"{name}: an entry of a list cannot be switched off")
    if value == "off":
        return None, True
    if value.startswith("@"):
        key = re.fullmatch(r"(\s*(?:- )?[\w.\"@]+:)", line)
        if not key:
            raise Misfit(f"{name}: its line has a value of its own, so a file cannot stand there")
        text = " ".join(Path(value[1:]).read_text(encoding="utf-8").split("\n")).strip()
        return f"{key[1]} {text}", True
    if re.match(r"[A-Za-z_]\w*: ", value):
        return indent + value, True
    port = replaced(r"\bport_value: (\d+)", value.rpartition(":")[2], line)
    if port and re.fullmatch(r"\d+", value):
        return port, False
    if port and re.fullmatch(r"\S+:\d+", value):
        both = replaced(r"[{ ]address: ([^\s{}]+?),", value.rpartition(":")[0], port)
        if both:
            return both, False
    file = replaced(r"\bfilename: ([^\s{}]+)", value, line)
    if file and value:
        return file, False
    raise Misfit(f"{name}: {value!r} does not fit the line {line.strip()!r}")


def render(text, demo=False, values=None):
    """The template with its marks taken out and `values` put in."""
    values = dict(values or {})
    used, out, skip = set(), [], None
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if skip is not None:
            if not line.strip() or depth > skip:
                mark = MARK.search(line)
                if mark:
                    used.add(mark["name"])  # Gone with what it belongs to.
                continue
            skip = None
        mark = MARK.search(line)
        if not mark:
            out.append(line)
            continue
        name = mark["name"]
        used.add(name)
        line = line[: mark.start()].rstrip()
        value = values.get(name, mark["demo"] if demo else None)
        if value is not None:
            line, block = put(line.split("  #")[0].rstrip(), name, value)
            skip = depth if block else None
        if line is not None:
            out.append(line)
    missing = sorted(set(values) - used)
    if missing:
        raise Misfit(f"no such mark: {', '.join(missing)} (there are: {', '.join(sorted(used))})")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template", nargs="?", type=Path, default=Path(__file__).with_name("envoy.yaml"))
    parser.add_argument("--demo", action="store_true", help="the fake providers in place of the real ones")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="sets")
    parser.add_argument("-o", "--output", type=Path, help="where to write; standard output otherwise")
    options = parser.parse_args()
    try:
        values = {}
        for pair in options.sets:
            name, equals, value = pair.partition("=")
            if not equals or name in values:
                raise Misfit(f"--set {pair}: must be NAME=VALUE, each name once")
            values[name] = value
        text = render(options.template.read_text(encoding="utf-8"), options.demo, values)
    except (Misfit, OSError) as problem:
        sys.exit(f"render.py: {problem}")
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()

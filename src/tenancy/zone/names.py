#!/usr/bin/env python3
"""Writes names.txt, the rules of all time zones, from the time zone data of this system.

    src/tenancy/zone/names.py            writes names.txt and tests/zones/instants.txt
    src/tenancy/zone/names.py --check    says whether names.txt is what this system's data give

A line of names.txt is a rule as POSIX writes it, without the names of standard and summer time, and
all zones that follow it from now on: `rule region:name,name region:name`. It is what stands at the end
of each compiled zone file. Zones whose next years are written out one by one, as summer time there
follows the moon, are taken by that rule too.

A line of instants.txt is a zone, a second since 1970, and by how many seconds clocks are ahead there,
as Python's zoneinfo says it.
"""

import datetime
import pathlib
import random
import re
import sys
import zoneinfo

HERE = pathlib.Path(__file__).parent
NAMES = HERE / "names.txt"
INSTANTS = HERE.parents[2] / "tests" / "zones" / "instants.txt"

# From 2026 on; the years before are of no use to a budget.
FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
YEARS = 12

# Summer time by the moon: what is written out for the next decades differs from the rule.
BY_THE_MOON = {"Africa/Casablanca", "Africa/El_Aaiun", "Asia/Gaza", "Asia/Hebron"}


def rule(name):
    for folder in zoneinfo.TZPATH:
        path = pathlib.Path(folder, name)
        if path.is_file():
            footer = path.read_bytes().rsplit(b"\n", 2)[1].decode()
            words = iter(["STD", "DST"])
            return re.sub(r"<[^>]*>|[A-Za-z]{3,}", lambda _: next(words), footer)
    raise SystemExit(f"no file of {name}")


def table():
    rules = {}
    for name in sorted(zoneinfo.available_timezones()):
        if name in ("Factory", "localtime"):
            continue
        region, slash, rest = name.partition("/")
        if not slash:
            region, rest = "", name
        rules.setdefault(rule(name), {}).setdefault(region, []).append(rest)
    lines = []
    for zone_rule, regions in sorted(rules.items()):
        groups = [f"{region}:{','.join(names)}" for region, names in sorted(regions.items())]
        lines.append(" ".join([zone_rule, *groups]))
    return "\n".join(lines) + "\n"


def instants():
    """Of each rule one zone: the seconds around each change of its clocks, and some at random."""
    draw = random.Random(1)
    seen, lines = set(), []
    for name in sorted(zoneinfo.available_timezones()):
        if name in BY_THE_MOON or name == "Factory" or rule(name) in seen:
            continue
        seen.add(rule(name))
        zone = zoneinfo.ZoneInfo(name)
        offset = lambda second: int(
            datetime.datetime.fromtimestamp(second, zone).utcoffset().total_seconds()
        )
        start = int(FIRST.timestamp())
        end = start + YEARS * 366 * 86400
        moments = {draw.randrange(start, end) for _ in range(12)}
        step = 6 * 3600
        for second in range(start, end, step):
            if offset(second) != offset(second + step):
                low, high = second, second + step
                while high - low > 1:
                    middle = (low + high) // 2
                    if offset(middle) == offset(low):
                        low = middle
                    else:
                        high = middle
                moments |= {low, high}
        lines += [f"{name} {second} {offset(second)}" for second in sorted(moments)]
    return "\n".join(lines) + "\n"


def main():
    if "--check" in sys.argv:
        same = NAMES.read_text() == table()
        print("names.txt is up to date" if same else "names.txt differs from this system's data")
        return 0 if same else 1
    NAMES.write_text(table())
    INSTANTS.parent.mkdir(exist_ok=True)
    INSTANTS.write_text(instants())
    return 0


if __name__ == "__main__":
    sys.exit(main())

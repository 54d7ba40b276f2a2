#!/usr/bin/env python3
"""Asks for what a served view has, for scripts.

    view.py row URL VIEW KEY [SECONDS]   a line of the key's answer: its parts, its coverage, how fresh it is
    view.py head                         what stands above such lines
    view.py totals URL VIEW              how many keys there are, and their total_events together
    view.py covers URL VIEW              how many offsets an answer covers
    view.py partitions URL VIEW          how many partitions the newest snapshot has

Numbers keep their digits. The exit code is 1 with the server's own words if it refuses or does not answer.
A row whose parts do not add up is an error, too.
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from decimal import Context, Decimal, Inexact

# Sums are exact: there are no more digits in what a view adds up.
EXACT = Context(prec=10_000, traps=[Inexact])
PATIENCE_S = 30
COLUMNS = "{:>6}  {:<6}  {:>12}  {:>6} {:>6}  {:>11}  {:>8}  {:>8}  {:>7}"
TITLES = ("time", "key", "total_events", "=batch", "+speed", "total_value", "snapshot", "coverage", "fresh")


class Refused(Exception):
    """Why there is nothing to print."""


def ask(url, path):
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=PATIENCE_S) as answer:
            return json.loads(answer.read(), parse_float=Decimal)
    except urllib.error.HTTPError as error:
        said = json.loads(error.read())["error"]
        raise Refused(f"{said['code']}: {said['message']}") from None
    except OSError as error:
        raise Refused(f"no answer: {error}") from None


def offsets(answer):
    begin, coverage = answer["begin"], answer["coverage"]
    return sum(
        end - begin[topic][partition] for topic, ends in coverage.items() for partition, end in ends.items()
    )


def row(url, view, key, seconds="0"):
    answer = ask(url, f"/views/{view}/keys/{urllib.parse.quote(key, safe='')}?parts=true")
    value = answer["value"]

    def parts(field):
        both = (answer["parts"][layer] for layer in ("batch", "speed"))
        return [part[field] if part else 0 for part in both]

    for field in ("total_events", "total_value"):
        if EXACT.add(*map(Decimal, parts(field))) != value[field]:
            raise Refused(f"the parts of {field}, {parts(field)}, do not make {value[field]}")
    if answer["snapshot"] is None or answer["freshness_ms"] is None:
        raise Refused("there is no snapshot yet, or nothing is known of how fresh it is")
    batch, speed = parts("total_events")
    numbers = (value["total_events"], batch, speed, value["total_value"], answer["snapshot"], offsets(answer))
    return COLUMNS.format(f"{seconds} s", key, *map(str, numbers), f"{answer['freshness_ms']} ms")


def head():
    return COLUMNS.format(*TITLES)


def totals(url, view):
    keys, events, following = 0, 0, ""
    while following is not None:
        behind = f"&next={urllib.parse.quote(following, safe='')}" if following else ""
        page = ask(url, f"/views/{view}/keys?limit=1000{behind}")
        keys += len(page["rows"])
        events += sum(one["value"]["total_events"] for one in page["rows"])
        following = page["next"]
    return f"{keys} {events}"


def covers(url, view):
    return offsets(ask(url, f"/views/{view}/keys?limit=1"))


def partitions(url, view):
    snapshot = ask(url, f"/views/{view}")["snapshot"]
    return sum(len(ends) for ends in snapshot["coverage"].values()) if snapshot else 0


def main():
    command, *arguments = sys.argv[1:]
    try:
        print({"row": row, "head": head, "totals": totals, "covers": covers, "partitions": partitions}[command](*arguments))
    except Refused as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    main()

"""Runs topologies of the streams library under load, beside Kafka Streams where `--tools` has it, and prints
one table. Called by `scripts/bench streams`."""

import argparse
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import bench_java

# What is measured: query, topic, what the table calls it, keys.
QUERIES = [
    ("count", "plain", "tumbling count, 10 s, 10 K keys", 10_000),
    ("hop", "plain", "hopping count, 10 s by 1 s, 10 K keys", 10_000),
    ("sessions", "plain", "session count, gap 500 ms, 10 K keys", 10_000),
    ("json", "json", "JSON events, tumbling aggregate by type", 10_000),
    ("count-long", "many", "tumbling count, one window, from empty: each record a new key of 10 M", 10_000_000),
]
STORES = [("rocksDB", "RocksDB"), ("in_memory", "in memory")]
# Kafka Streams reads the beginning of the same topics, so that a run ends in time.
JAVA_RECORDS = 2_000_000
# Where that takes too long.
JAVA_FEWER = {"hop": 500_000, "sessions": 1_000_000}
# What has no end in time: over a store in memory, a record's session is looked for in the whole record cache,
# which takes about a millisecond each.
JAVA_WITHOUT = {("sessions", "in_memory")}
# The first warms the virtual machine up; the better one counts.
JAVA_PASSES = 2

NOTES = """
CPU is the whole process's, from the start of the application to its last record: the last commit is not in it. Both read the same topics
from the same broker, each with its default settings: one thread, at least once, with changelogs. Kafka Streams
reads the first {most} records of each ({hop} of the hopping count, {sessions} of the sessions), twice in one
virtual machine, of which the better pass counts, so that its code is compiled. Fewer records of 10 M keys are
fewer keys: that is in its favour. Its sessions in memory are left out: there it walks its record cache for each
record. It tells each change, as far as its record cache of 10 MB does not hold it back; Tidemark tells each
result once, when the watermark closes the window; the one window of 10 M keys does not close, so there it tells
none, and that row flatters it. Tidemark's state is in memory."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", required=True)
    parser.add_argument("--tools", type=pathlib.Path)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--records", type=int, required=True)
    options = parser.parse_args()
    filled = {}
    for query, topic, _, keys in QUERIES:
        if topic not in filled:
            filled[topic] = True
            # The topic of many keys has each of them twice.
            records = options.records * (2 if topic == "many" else 1)
            load(options, ["fill", query, options.bootstrap, topic, str(records), str(keys)])
    # The kernel writes out what was written when it likes to: not while something is measured.
    os.sync()
    stores = STORES if options.tools else []
    again = []
    ours = {query: [] for query, _, _, _ in QUERIES}
    theirs = {(query, store): [] for query, _, _, _ in QUERIES for store, _ in stores}
    # In turns: whatever disturbs the machine disturbs all.
    for _ in range(options.runs):
        for query, topic, _, _ in QUERIES:
            parts = [str(options.records)] * (2 if topic == "many" else 1)
            found = run([options.load, "run", query, options.bootstrap, topic, *parts])
            ours[query].append(found[0])
            if topic == "many":
                again.append(found[1])
            for store, _ in stores:
                if (query, store) not in JAVA_WITHOUT:
                    theirs[query, store].append(java(options, query, topic, store))
    table(options, ours, again)
    if stores:
        beside(ours, theirs)
    restore(options)


def load(options, arguments):
    return run([options.load] + arguments)[0]


def java(options, query, topic, store):
    """The best of all passes."""
    records = min(options.records, JAVA_FEWER.get(query, JAVA_RECORDS))
    arguments = [query, options.bootstrap, topic, str(records), store, str(JAVA_PASSES)]
    passes = run(bench_java.command(options.tools, "6g", "StreamsLoad", arguments))
    return min(passes, key=lambda found: found[2])


def run(command):
    """The numbers of each line that a program prints, on standard error as well: it takes a while."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=1800)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with code {done.returncode}")
    print(" ".join(command[-6:]), "->", " | ".join(done.stdout.splitlines()), file=sys.stderr, flush=True)
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()] or [[]]


def rates(results):
    return sorted(records / cpu / 1e6 for records, _, cpu in results)


def table(options, results, again):
    print(f"\n{options.records} records, median (min to max) of {options.runs} runs\n")
    print("| topology | million records per second of the process's CPU | CPU beside tumbling | seconds of wall clock |")
    print("|---|---:|---:|---:|")
    base = statistics.median(cpu for _, _, cpu in results["count"])
    rows = [(name, results[query]) for query, _, name, _ in QUERIES]
    rows.append(("the same window, all keys there: each record changes one of 10 M", again))
    for name, runs in rows:
        found = rates(runs)
        middle = statistics.median(found)
        ratio = statistics.median(cpu for _, _, cpu in runs) / base
        wall = statistics.median(wall for _, wall, _ in runs)
        print(f"| {name} | {middle:.1f} ({found[0]:.1f} to {found[-1]:.1f}) | {ratio:.2f} | {wall:.1f} |")


def beside(ours, theirs):
    print("\nmillion records per second of the process's CPU, median (min to max)\n")
    heads = "".join(f" Kafka Streams, {name} |" for _, name in STORES)
    print(f"| topology | Tidemark |{heads} Tidemark beside the faster |")
    print("|---|---:|" + "---:|" * len(STORES) + "---:|")
    for query, _, name, _ in QUERIES:
        cells = [rates(ours[query])] + [rates(theirs[query, store]) for store, _ in STORES]
        middles = [statistics.median(cell) for cell in cells if cell]
        shown = "".join(f" {spread(cell)} |" for cell in cells)
        print(f"| {name} |{shown} {middles[0] / max(middles[1:]):.0f}x |")
    print(NOTES.format(most=JAVA_RECORDS, **JAVA_FEWER))


def spread(rates):
    if not rates:
        return "-"
    middle = statistics.median(rates)
    digits = max(1, 2 - math.floor(math.log10(middle)) - 1)
    return f"{middle:.{digits}f} ({rates[0]:.{digits}f} to {rates[-1]:.{digits}f})"


def restore(options):
    with tempfile.TemporaryDirectory() as state:
        arguments = ["restore", options.bootstrap, "many", str(options.records), state]
        records, wall, cpu = load(options, arguments)
    print(f"\nrestoring {records / 1e6:.0f} M keys from a snapshot: {wall:.1f} s, {cpu:.1f} s of CPU")


if __name__ == "__main__":
    main()

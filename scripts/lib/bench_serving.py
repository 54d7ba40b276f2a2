"""Runs the Lambda side under load, prints one table and records it in docs/benchmarks.md. Called by
`scripts/bench serving`."""

import argparse
import datetime
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

USERS = 1_000_000
# So many events of each user are few: much of what they cost is the user's state, which has to be made for them.
FEW = 4
RECORD = pathlib.Path(__file__).parents[2] / "docs" / "benchmarks.md"
# What stands between them is the last table that was measured.
BEGIN, END = "<!-- scripts/bench serving -->\n", "<!-- end -->\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    options = parser.parse_args()
    if options.events < USERS:
        sys.exit(f"--events {options.events}: each of {USERS} users has one at least")
    figures = {}
    for run in range(options.runs):
        # A topic of its own: each run writes some more events behind its snapshot.
        topic, folder = f"few{run}", options.scratch / f"few{run}"
        load(options, "fill", options.bootstrap, topic, FEW * USERS, USERS)
        figures.setdefault("few", []).append(dict(load(options, "batch", options.bootstrap, topic, folder))["batch"])
        shutil.rmtree(folder)
        topic, folder = f"events{run}", options.scratch / f"snapshots{run}"
        load(options, "fill", options.bootstrap, topic, options.events, USERS)
        for name, numbers in load(options, "batch", options.bootstrap, topic, folder):
            figures.setdefault(name, []).append(numbers)
        for name, numbers in load(options, "serve", options.bootstrap, topic, folder, USERS):
            figures.setdefault(name, []).append(numbers)
    measured = f"{head(options)}\n\n{table(figures, options.events // USERS)}\n"
    print(measured)
    record(measured)


def head(options):
    """When and of what: the figures say nothing without it."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True, check=True, cwd=RECORD.parent
    ).stdout.strip()
    models = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return (
        f"`scripts/bench serving {options.runs} {options.events}` on {datetime.date.today()} at commit {commit},"
        f" {os.cpu_count()} cores ({models[0] if models else 'of an unknown model'}); medians, in brackets the least"
        " and the most."
    )


def record(measured):
    text = RECORD.read_text()
    before, rest = text.split(BEGIN)
    _, behind = rest.split(END)
    RECORD.write_text(f"{before}{BEGIN}\n{measured}\n{END}{behind}")


def load(options, *arguments):
    """What a part of the load prints: names and numbers."""
    command = [options.load, *map(str, arguments)]
    print("+", *map(str, arguments), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} has failed")
    lines = [line.split() for line in done.stdout.splitlines()]
    print(done.stdout, end="", file=sys.stderr, flush=True)
    return [(line[0], [float(number) for number in line[1:]]) for line in lines]


def table(figures, of_each):
    def each(name, of):
        return [of(*numbers) for numbers in figures[name]]

    def rates(name):
        return [numbers[0] / numbers[2 if name == "batch" else 1] for numbers in figures[name]]

    def added(name):
        pairs = zip(figures[name], figures["quiet"], strict=True)
        return [(busy[1] - quiet[1]) / 1_000 for busy, quiet in pairs]

    rows = [
        (f"events into a snapshot (Parquet of states and of raw events), {of_each} of each user, per second of CPU",
         "2 M", "0.5 M", "{:.2f} M", each("batch", lambda events, _wall, cpu, *_: events / cpu / 1e6)),
        (f"the same, {FEW} of each user", "", "",
         "{:.2f} M", each("few", lambda events, _wall, cpu, *_: events / cpu / 1e6)),
        ("the same events as text, read by serde_json and nothing else, per second of CPU", "", "",
         "{:.2f} M", each("json", lambda events, cpu: events / cpu / 1e6)),
        ("a snapshot's event beside that: so many times as much", "", "",
         "{:.1f}", [json / batch for json, batch in zip(rates("json"), rates("batch"), strict=True)]),
        ("a snapshot of 1 M keys: from its manifest's being there to the switch", "1 s", "5 s",
         "{:.2f} s", each("load", lambda seconds: seconds)),
        ("a question in process, one after the other, p99", "100 us", "500 us",
         "{:.1f} us", each("point", lambda _p50, p99, *_: p99)),
        ("the same, median", "", "", "{:.1f} us", each("point", lambda p50, *_: p50)),
        ("20,000 questions/s and 10,000 events/s: p99 from when a question is due", "", "",
         "{:.3f} ms", each("quiet", lambda _p50, p99, *_: p99 / 1_000)),
        ("what 50 ms around a switch add to that", "1 ms", "10 ms", "{:.3f} ms", added("switch")),
        ("what reading the snapshot adds", "", "", "{:.3f} ms", added("loading")),
        ("what a batch run in the same process adds", "", "", "{:.3f} ms", added("making")),
        ("questions over HTTP, per second of the server's CPU", "20,000", "5,000",
         "{:,.0f}", each("http", lambda requests, _wall, cpu: requests / cpu)),
        ("the same, per second (2 cores, asking included)", "", "",
         "{:,.0f}", each("http", lambda requests, wall, _cpu: requests / wall)),
        ("p99 of an answer over HTTP, 32 busy connections", "", "",
         "{:.2f} ms", each("latency", lambda _p50, p99, *_: p99 / 1_000)),
    ]
    lines = ["| | measured | aim | must |", "|---|---:|---:|---:|"]
    for what, aim, must, shape, numbers in rows:
        middle = shape.format(statistics.median(numbers))
        least, most = shape.format(min(numbers)), shape.format(max(numbers))
        lines.append(f"| {what} | {middle} ({least} to {most}) | {aim} | {must} |")
    return "\n".join(lines)


main()

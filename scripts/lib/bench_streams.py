"""Runs topologies of the streams library under load and prints one table. Called by `scripts/bench streams`."""

import argparse
import statistics
import subprocess
import sys
import tempfile

# What is measured: query, topic, what the table calls it, keys.
QUERIES = [
    ("count", "plain", "tumbling count, 10 s, 10 K keys", 10_000),
    ("hop", "plain", "hopping count, 10 s by 1 s, 10 K keys", 10_000),
    ("sessions", "plain", "session count, gap 500 ms, 10 K keys", 10_000),
    ("json", "json", "JSON events, tumbling aggregate by type", 10_000),
    ("count-long", "many", "tumbling count, one window, 10 M keys", 10_000_000),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--records", type=int, required=True)
    options = parser.parse_args()
    filled = {}
    for query, topic, _, keys in QUERIES:
        if topic not in filled:
            filled[topic] = True
            load(options, ["fill", query, options.bootstrap, topic, str(options.records), str(keys)])
    results = {query: [] for query, _, _, _ in QUERIES}
    # In turns: whatever disturbs the machine disturbs all.
    for _ in range(options.runs):
        for query, topic, _, _ in QUERIES:
            found = load(options, ["run", query, options.bootstrap, topic, str(options.records)])
            results[query].append(found)
    table(options, results)
    restore(options)


def load(options, arguments):
    done = subprocess.run([options.load] + arguments, stdout=subprocess.PIPE, text=True, timeout=900)
    if done.returncode != 0:
        sys.exit(f"{options.load} {' '.join(arguments)} ended with code {done.returncode}")
    return [float(word) for word in done.stdout.split()]


def table(options, results):
    print(f"\n{options.records} records, median (min to max) of {options.runs} runs\n")
    print("| topology | million records per second of the process's CPU | CPU beside tumbling | seconds of wall clock |")
    print("|---|---:|---:|---:|")
    base = statistics.median(cpu for _, _, cpu in results["count"])
    for query, _, name, _ in QUERIES:
        rates = sorted(records / cpu / 1e6 for records, _, cpu in results[query])
        middle = statistics.median(rates)
        ratio = statistics.median(cpu for _, _, cpu in results[query]) / base
        wall = statistics.median(wall for _, wall, _ in results[query])
        print(f"| {name} | {middle:.1f} ({rates[0]:.1f} to {rates[-1]:.1f}) | {ratio:.2f} | {wall:.1f} |")


def restore(options):
    with tempfile.TemporaryDirectory() as state:
        arguments = ["restore", options.bootstrap, "many", str(options.records), state]
        records, wall, cpu = load(options, arguments)
    print(f"\nrestoring {records / 1e6:.0f} M keys from a snapshot: {wall:.1f} s, {cpu:.1f} s of CPU")


if __name__ == "__main__":
    main()

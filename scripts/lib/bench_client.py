"""Runs clients under load in turns and prints one table. Called by `scripts/bench client`."""

import argparse
import pathlib
import statistics
import subprocess
import sys

import bench_java

# What is measured: kind, client, what the table calls it.
CONSUME = [
    ("native-raw", "Tidemark, raw batches"),
    ("native-decoded", "Tidemark, records borrowed from their batch"),
    ("native-stream", "Tidemark, records one by one"),
    ("rdkafka", "rdkafka (librdkafka)"),
    ("java", "Apache Kafka's Java client"),
]
PRODUCE = [
    ("native", "Tidemark, fire and count"),
    ("native-futures", "Tidemark, every outcome awaited"),
    ("rdkafka", "rdkafka (librdkafka)"),
    ("java", "Apache Kafka's Java client"),
]
ROUND_TRIP = [
    ("bare", "the same request over a plain socket"),
    ("native", "Tidemark"),
    ("rdkafka", "rdkafka (librdkafka)"),
]
ROUND_TRIPS = 10_000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", required=True)
    parser.add_argument("--tools", type=pathlib.Path, required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--records", type=int, required=True)
    options = parser.parse_args()
    run(options, "fill", None, "bench", options.records)
    throughput(options, "consume", CONSUME)
    throughput(options, "produce", PRODUCE)
    round_trips(options)


def run(options, kind, client, topic, records):
    if client == "java":
        command = bench_java.command(options.tools, "1g", "Load", [kind])
    else:
        command = [options.load, kind] + ([client] if client else [])
    command += [options.bootstrap, topic, str(records)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with code {done.returncode}")
    return [float(word) for word in done.stdout.split()]


def in_turns(options, kind, clients, records):
    """The results of each client, run after run: whatever disturbs the machine disturbs all."""
    results = {client: [] for client, _ in clients}
    for turn in range(options.runs):
        for client, _ in clients:
            topic = "bench" if kind == "consume" else f"{kind}-{client}"
            results[client].append(run(options, kind, client, topic, records))
    return results


def throughput(options, kind, clients):
    results = in_turns(options, kind, clients, options.records)
    print(f"\n{kind}: {options.records} records of 100 B, median (min to max) of {options.runs} runs\n")
    print("| client | million records per second of client CPU | beside rdkafka | seconds of wall clock |")
    print("|---|---:|---:|---:|")
    rates = {client: [r[-3] / r[-1] / 1e6 for r in results[client]] for client, _ in clients}
    base = statistics.median(rates["rdkafka"])
    for client, name in clients:
        rate = statistics.median(rates[client])
        wall = statistics.median(r[-2] for r in results[client])
        spread = f"{min(rates[client]):.2f} to {max(rates[client]):.2f}"
        print(f"| {name} | {rate:.2f} ({spread}) | {rate / base:.1f}x | {wall:.2f} |", flush=True)


def round_trips(options):
    results = in_turns(options, "rtt", ROUND_TRIP, ROUND_TRIPS)
    print(f"\nacks=1, one record at a time: median of {ROUND_TRIPS} round trips, of {options.runs} runs\n")
    print("| client | microseconds | beside the bare one |")
    print("|---|---:|---:|")
    times = {client: [r[0] for r in results[client]] for client, _ in ROUND_TRIP}
    bare = statistics.median(times["bare"])
    for client, name in ROUND_TRIP:
        time = statistics.median(times[client])
        spread = f"{min(times[client]):.0f} to {max(times[client]):.0f}"
        print(f"| {name} | {time:.0f} ({spread}) | {time / bare:.2f}x |", flush=True)


main()

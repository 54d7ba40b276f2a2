"""The example `user_totals` as a process, and a plain HTTP client for it."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import subprocess
import threading
import urllib.parse
import zlib
from decimal import Decimal

import tools

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or tools.REPOSITORY / "target")
BINARY = TARGET / "debug" / "tidemark"
EXAMPLE = TARGET / "debug" / "examples" / "user_totals"
# Not a demand on speed: what takes so long hangs.
PATIENCE = 120


class Served:
    """The running example."""

    def __init__(self, bootstrap, topic, folder, *options):
        assert EXAMPLE.exists(), f"{EXAMPLE} is not built: cargo build -p tidemark-streams --example user_totals"
        self.folder, self.topic = pathlib.Path(folder), topic
        command = [EXAMPLE, "--bootstrap", bootstrap, "--input", topic, "--listen", "127.0.0.1:0"]
        command += ["--snapshots", folder, "--batch-every", "300ms", "--cut-every", "100ms", *options]
        # What it says of a failure is shown with that of the test.
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        self.address = self.line(r"views: http://(.*)/views")
        self.line("running; Ctrl-C ends it")

    def line(self, form):
        """Waits for a line of its output, but not for ever."""
        limit = threading.Timer(PATIENCE, self.process.kill)
        limit.start()
        try:
            for line in self.process.stdout:
                if found := re.fullmatch(form, line.strip()):
                    return found[1] if found.re.groups else line
        finally:
            limit.cancel()
        raise AssertionError(f"the example ended with {self.process.wait()} and without {form!r}")

    def close(self):
        self.process.send_signal(2)
        code = self.process.wait(timeout=PATIENCE)
        assert code == 0, f"the example ended with code {code}"

    def request(self, method, path):
        """Status, headers and text."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def get(self, *path, **parameters):
        """Status and JSON of `/views/PATH...`; numbers with a point come with all their digits."""
        pairs = [(name, one) for name, value in parameters.items() for one in listed(value)]
        url = "/".join(["/views", *(urllib.parse.quote(part, safe="") for part in path)])
        if pairs:
            url += "?" + urllib.parse.urlencode(pairs)
        status, headers, text = self.request("GET", url)
        assert headers["content-type"] == "application/json", (url, text)
        return status, json.loads(text, parse_float=Decimal)

    def answer(self, *path, **parameters):
        status, body = self.get(*path, **parameters)
        assert status == 200, (path, parameters, body)
        return body

    def all_keys(self, view, **parameters):
        """All rows of a view, page by page."""
        rows, following = [], {}
        while True:
            page = self.answer(view, "keys", limit=7, **following, **parameters)
            rows += page["rows"]
            if page["next"] is None:
                return rows
            following = {"next": page["next"]}

    def snapshot_of(self, view, ends):
        """Waits for a snapshot that covers so much of each partition; gives the manifest of the newest."""

        found = {}

        def covers():
            found.update(self.answer(view))
            covered = (found["snapshot"] or {"coverage": {}})["coverage"].get(self.topic, {})
            return all(covered.get(str(partition), 0) >= end for partition, end in ends.items())

        tools.wait_until(covers, lambda: f"a snapshot of {view} up to {ends}: {found}")
        assert found["problem"] is None, found["problem"]
        return self.manifests(view)[-1]

    def manifests(self, view):
        """All manifests of a view, in their order."""
        files = sorted((self.folder / view / "manifests").glob("*.json"))
        return [json.loads(file.read_text()) for file in files]


@contextlib.contextmanager
def running(bootstrap, topic, folder, *options):
    """The example for as long as it is needed; it has to end well."""
    served = Served(bootstrap, topic, folder, *options)
    try:
        yield served
        served.close()
    finally:
        if served.process.poll() is None:
            served.process.kill()
            served.process.wait()


def listed(value):
    return value if isinstance(value, list) else [value]


def coverage(topic, ends):
    """As `at_least` takes it."""
    return ",".join(f"{topic}:{partition}:{end}" for partition, end in sorted(ends.items()))


def crc32(file):
    return zlib.crc32(file.read_bytes())

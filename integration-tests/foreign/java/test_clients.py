"""Apache Kafka's own Java clients: every case of Judge.java, which runs once in one process."""

import re
import subprocess

import pytest

import tools

SOURCE = (tools.FOREIGN / "java" / "Judge.java").read_text()
CODECS = re.search(r"CODECS = List\.of\((.*)\);", SOURCE)[1].replace('"', "").split(", ")
CASES = [f"{what}-{codec}" for codec in CODECS for what in ("records", "megabyte")]
CASES += re.findall(r'judge\.judge\("([\w-]+)", judge::', SOURCE)


@pytest.fixture(scope="module")
def verdicts(name):
    done = subprocess.run(
        tools.java_command("Judge", tools.bootstrap(), name("judge")), capture_output=True, text=True, timeout=300
    )
    lines = dict(re.findall(r"^(?:ok|FAIL) ([\w-]+)(.*)$", done.stdout, re.M))
    assert lines, f"the program judged nothing: {done.stdout}{done.stderr}"
    return lines, done


@pytest.mark.parametrize("case", CASES)
def test_client(verdicts, case):
    lines, done = verdicts
    assert case in lines, f"the program ended before this case: {done.stderr}"
    assert f"ok {case}\n" in done.stdout, f"{lines[case]}\n{done.stderr}"

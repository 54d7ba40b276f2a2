"""Fixtures that every pytest suite shares."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))

import tools  # noqa: E402  (the path above has to be there first)


def pytest_report_header():
    return f"seed {tools.seed()} (repeat with SEED={tools.seed()}), broker {os.environ.get('BOOTSTRAP')}"


@pytest.fixture(scope="session")
def bootstrap():
    return tools.bootstrap()


@pytest.fixture(scope="module")
def name(request):
    """A function from a word to a topic or group name that belongs to this run alone."""
    return tools.Names(request.path.stem.removeprefix("test_").replace("_", "-"))

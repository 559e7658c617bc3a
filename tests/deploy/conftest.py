"""Tests that run what Weir renders on the real platforms, with tools that are heavy to install.

Each is found by a variable, or in .weir/bin, or on the PATH; a test whose tool is missing is skipped and says so.
"""

import pathlib
import sys

import pytest

# Processes, stand-in providers and resources are those of the end-to-end tests.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from harness.gateway import new_user  # noqa: E402


@pytest.fixture
def user():
    return new_user()

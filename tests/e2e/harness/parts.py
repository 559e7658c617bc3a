"""Other people's programs that tests need and a machine may lack."""

import os

import pytest


def missing(what):
    """Ends a test whose part is missing. It is left out on a machine of one's own; in CI nobody would see that, so it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have every part: {what}", pytrace=False)
    pytest.skip(what)

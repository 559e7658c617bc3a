"""What becomes of a test whose parts are not there."""

import pytest
from harness.parts import missing


def test_it_is_left_out(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no redis-server"):
        missing("there is no redis-server")


def test_in_ci_it_fails(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no redis-server"):
        missing("there is no redis-server")

"""Links between the project's pages lead somewhere."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True)
PAGES = [ROOT / line for line in LISTED.stdout.splitlines()]


def links(page):
    """Targets within the project: the page, and the place on it."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            path, _, place = target.partition("#")
            yield (page.parent / path).resolve() if path else page, place


def places(page):
    """What a page's headings are called in links, as GitHub has it."""
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), re.M)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, place in links(page):
        assert target.exists(), target
        assert not place or place in places(target), f"{target}#{place}"

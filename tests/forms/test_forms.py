"""Whatever form the gateway takes has one model, the same for it and for those who read it after it.

The readers are in `readers`: Go's, Starlette's and busboy's. One that refuses a form has not read another model from it."""

import base64
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import forms

HERE = Path(__file__).parent
READERS = HERE / "readers"
WEIR = Path(os.environ.get("WEIR_READ_FORM", HERE.parent.parent / "target/debug/examples/read_form"))
PLAIN = "multipart/form-data; boundary=XX"


def needs(program):
    """A program that must be there where everything is tested."""
    if shutil.which(program) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is missing")
        pytest.skip(f"{program} is missing")


@pytest.fixture(scope="session")
def go(tmp_path_factory):
    needs("go")
    built = tmp_path_factory.mktemp("go") / "reader"
    subprocess.run(["go", "build", "-o", built, READERS / "reader.go"], check=True)
    return [built]


@pytest.fixture(scope="session")
def busboy(tmp_path_factory):
    needs("npm")
    folder = tmp_path_factory.mktemp("busboy")
    for name in ["package.json", "package-lock.json", "reader.js"]:
        shutil.copy(READERS / name, folder)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return ["node", folder / "reader.js"]


@pytest.fixture(scope="session")
def starlette():
    return [sys.executable, READERS / "reader.py"]


@pytest.fixture(params=["go", "starlette", "busboy"])
def reader(request):
    return request.getfixturevalue(request.param)


def read(command, cases):
    """What a reader finds in each content type and body."""
    lines = [
        json.dumps({"type": base64.b64encode(kind.encode()).decode(), "body": base64.b64encode(body).decode()})
        for kind, body in cases
    ]
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True, timeout=300)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(cases), done.stderr
    return found


def test_a_plain_form_is_read_by_all(reader):
    cases = [(PLAIN, forms.form([forms.MODEL, forms.FILE]))]
    assert read([WEIR], cases) == [{"values": ["good"], "files": 0}]
    assert read(reader, cases) == [{"values": ["good"], "files": 0}]


def test_what_hides_a_model_is_refused():
    words, *cases = zip(*forms.hostile())
    found = read([WEIR], list(zip(*cases)))
    assert [word for word, seen in zip(words, found) if "error" not in seen] == []


@pytest.mark.parametrize("seed", range(4))
def test_no_other_model_is_read_than_the_gateways(reader, seed):
    numbers = random.Random(seed)
    cases = [forms.generated(numbers) for _ in range(3000)]
    mine = read([WEIR], cases)
    taken = [(case, seen) for case, seen in zip(cases, mine) if "error" not in seen]
    theirs = read(reader, [case for case, _ in taken])
    others = [
        (case, seen["values"], their)
        for (case, seen), their in zip(taken, theirs)
        if "error" not in their and (their["values"], their["files"]) != (seen["values"], 0)
    ]
    assert others == []
    # Neither refuses all: then there would be nothing to compare.
    assert len(taken) > len(cases) // 5
    assert sum("error" not in their for their in theirs) > len(taken) // 2

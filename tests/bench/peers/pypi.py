"""Gateways that PyPI has as a program: each in a virtual environment of its own."""

import subprocess
import sys

from .gateway import HOME, Gateway, run


class FromPypi(Gateway):
    """One worker is for the subclass to ask for."""

    package = None
    version = None

    @classmethod
    def home(cls):
        return HOME / cls.package

    @classmethod
    def program(cls):
        return cls.home() / "bin" / cls.package

    @classmethod
    def missing(cls):
        python = cls.home() / "bin" / "python"
        wanted = f"{cls.package}=={cls.version}"
        if not python.exists():
            return wanted
        code = f"import importlib.metadata as m; print(m.version({cls.package!r}))"
        found = subprocess.run([python, "-c", code], capture_output=True, text=True)
        return None if found.stdout.strip() == cls.version else wanted

    @classmethod
    def install(cls):
        wanted = cls.missing()
        if wanted is None:
            return
        run(sys.executable, "-m", "venv", cls.home())
        run(cls.home() / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", wanted)

"""What all peers have in common: processes pinned to one core, their ports, and their end."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: Where the peers are installed.
HOME = ROOT / ".weir" / "peers"

sys.path.insert(0, str(ROOT / "tests" / "e2e"))
# What the line above makes importable; some of it is for the peers.
from harness.ports import LOOPBACK, free_port, listens  # noqa: E402, F401
from harness.process import Failed, Process, descendants, wait_for  # noqa: E402


def run(*command, **options):
    """A command of an installation; fails when it fails."""
    subprocess.run([str(word) for word in command], check=True, cwd=ROOT, **options)


class Gateway:
    """A peer; what it consists of is for the subclass to say in `launch`."""

    name = None
    #: The port that it listens on, where it is not told one.
    port = None

    def __init__(self):
        self.headers = {}
        self._processes = []
        self._directory = None
        self._cpu = None

    @classmethod
    def missing(cls):
        return None

    @classmethod
    def install(cls):
        pass

    def start(self, upstream_port, cpu):
        """Starts it in front of `127.0.0.1:upstream_port`, on core `cpu`; its base URL once it takes connections."""
        self._cpu = cpu
        self._directory = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))
        try:
            port = self.port or free_port()
            self.launch(port, upstream_port)
        except BaseException:
            self.stop()
            raise
        return f"http://{LOOPBACK}:{port}"

    def launch(self, port, upstream_port):
        """Starts its processes with `spawn`, and returns when they serve on `port`."""
        raise NotImplementedError

    def spawn(self, *command, env=None):
        """A process on the gateway's core, in its directory."""
        process = Process(["taskset", "--cpu-list", self._cpu, *command], env=env, cwd=self._directory)
        self._processes.append(process)
        return process

    def write(self, name, text):
        """A file in the gateway's directory, which is gone when it stops."""
        path = self._directory / name
        path.write_text(text)
        return path

    def socket(self, name):
        return self._directory / name

    def wait_until(self, condition, timeout=30.0):
        """Waits for `condition()`; fails with what the processes said when one of them ends or time is up."""

        def ended_or_true():
            for process in self._processes:
                if process.popen.poll() is not None:
                    raise Failed(f"{self.name}: {process.command[3]} has ended")
            return condition()

        try:
            wait_for(ended_or_true, timeout, what=f"start of {self.name}")
        except Failed as failure:
            output = "\n".join(process.output[-4000:] for process in self._processes)
            raise Failed(f"{failure}\n{output}") from None

    def pids(self):
        started = [process.pid for process in self._processes]
        return started + [child for pid in started for child in descendants(pid)]

    def stop(self):
        """Ends all it has started; those that others wait for end last."""
        for process in reversed(self._processes):
            children = descendants(process.pid)
            process.stop()
            for child in children:
                try:
                    os.kill(child, 9)
                except ProcessLookupError:
                    pass
        self._processes = []
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

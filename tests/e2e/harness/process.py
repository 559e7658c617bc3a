"""A child process whose output is kept and which is ended by its own process id."""

import os
import re
import signal
import subprocess
import threading
import time


#: Seconds until a wait is given up. It bounds what hangs, and is no claim of how long a thing takes: other tests may run beside it.
PATIENCE = 120.0


class Failed(Exception):
    """The process ended, or did not say what it should in time."""


def wait_for(condition, timeout=PATIENCE, pause=0.05, what="the condition"):
    """The first true value of `condition()`; fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {timeout} s")
        time.sleep(pause)


class Process:
    def __init__(self, command, env=None, cwd=None):
        self.command = [str(word) for word in command]
        self.lines = []
        self._news = threading.Condition()
        self.popen = subprocess.Popen(
            self.command,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self):
        return self.popen.pid

    @property
    def output(self):
        return "".join(self.lines)

    def _read(self):
        for line in self.popen.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_line(self, pattern, timeout=PATIENCE):
        """The match of the first line that fits; fails when the process ends or is silent for too long."""
        end = time.monotonic() + timeout
        seen = 0
        with self._news:
            while True:
                for line in self.lines[seen:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                seen = len(self.lines)
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    how = "which has ended" if self._ended else f"within {timeout} s"
                    raise Failed(f"no line like {pattern!r} from {self.command[0]}, {how}:\n{self.output}")
                self._news.wait(left)

    def wait_for_end(self, timeout=5.0):
        """Waits until all its output was read."""
        with self._news:
            self._news.wait_for(lambda: self._ended, timeout)

    def wait(self, timeout=20.0):
        """The exit code."""
        return self.popen.wait(timeout)

    def stop(self, timeout=15.0):
        """Asks it to end, insists after a while; the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.returncode

    def kill(self):
        """Ends it as a crash does."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)


def descendants(pid):
    """Process ids of all that a process has started, directly or not."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    # The command's name may hold spaces and parentheses: the fields begin after the last one.
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False

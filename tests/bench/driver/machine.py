"""What the benchmark ran on, and what processes use."""

import datetime
import os
import platform
import re
import subprocess

from . import parts


def description():
    """The machine and the versions, for the results."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    dirty = parts.output("git", "status", "--porcelain", "--untracked-files=no")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpus": os.cpu_count(),
        "cpu": model[1] if model else platform.processor(),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
        "envoy": envoy_version(),
        "weir": parts.output(parts.weir(), "--version"),
        "git": (parts.output("git", "rev-parse", "--short=12", "HEAD") or "unknown") + ("+changes" if dirty else ""),
    }


def envoy_version():
    told = subprocess.run([str(parts.envoy()), "--version"], capture_output=True, text=True).stdout
    found = re.search(r"/(\d+\.\d+\.\d+)/", told)
    return found[1] if found else "unknown"


def memory(pids):
    """Bytes of memory that processes have resident. Of pages that several share, each is counted a part."""
    if len(pids) > 1:
        return sum(field(pid, "smaps_rollup", "Pss") for pid in pids)
    return sum(field(pid, "status", "VmRSS") for pid in pids)


def field(pid, file, name):
    try:
        with open(f"/proc/{pid}/{file}") as lines:
            for line in lines:
                if line.startswith(f"{name}:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def cpu_seconds(pids):
    """CPU that processes have used, to hundredths."""
    used = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


class Core:
    """How busy a core is from now on."""

    def __init__(self, number):
        self._name = f"cpu{number}"
        self._before = self._read()

    def _read(self):
        with open("/proc/stat") as file:
            fields = next(line.split() for line in file if line.startswith(f"{self._name} "))[1:9]
        user, nice, system, idle, waiting, interrupts, soft, stolen = map(int, fields)
        busy = user + nice + system + interrupts + soft + stolen
        return busy, busy + idle + waiting

    def since(self):
        """Seconds in which it was busy, and seconds in all."""
        busy, total = (after - before for after, before in zip(self._read(), self._before))
        ticks = os.sysconf("SC_CLK_TCK")
        return busy / ticks, max(total, 1) / ticks

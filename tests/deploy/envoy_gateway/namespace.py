"""A network of one's own: Envoy Gateway's server has fixed ports."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

from harness.parts import missing

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def network():
    """Within it this thread and what it starts have a loopback interface and nothing else; it takes root."""
    with open("/proc/thread-self/ns/net") as before:
        if _libc.unshare(CLONE_NEWNET) != 0:
            why = os.strerror(ctypes.get_errno())
            missing(f"Envoy Gateway's server needs a network namespace of its own, which takes root: {why}")
        try:
            _start_loopback()
            yield
        finally:
            _libc.setns(before.fileno(), CLONE_NEWNET)


def _start_loopback():
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))

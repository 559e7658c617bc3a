"""Ports of this machine."""

import random
import socket

LOOPBACK = "127.0.0.1"


def free_port():
    """A port nobody listens on, below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0

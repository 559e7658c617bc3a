"""`python3 -m peers` installs the peers; one that cannot be installed does not keep the others from it."""

import subprocess
import sys

from . import PEERS


def install(peer):
    """Whether it is there now."""
    try:
        peer.install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{peer.name}: {error}", file=sys.stderr)
    missing = peer.missing()
    print(f"{peer.name}: {'missing: ' + missing if missing else 'installed'}")
    return missing is None


# A list first: all of them, whatever became of the one before.
sys.exit(0 if all([install(peer) for peer in PEERS]) else 1)

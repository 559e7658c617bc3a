"""The gateways that Weir is compared with.

Each is a class with a `name` and these members, which is all that the driver knows of it:

* `missing()`, a class method: what must be installed before it can be started, None when nothing is;
* `install()`, a class method: puts that into `.weir/` and `target/` of this folder;
* `start(upstream_port, cpu)`: starts it in front of an OpenAI-like API on loopback, all of it pinned to one core and with
  one worker; returns the base URL, to which `/v1/chat/completions` is added;
* `headers`, after the start: what a client must send besides its request;
* `pids()`: the processes whose CPU time and memory count; `stop()`.
"""

from .ai_gateway import AiGateway
from .ferrogw import Ferrogw
from .litellm import LiteLlm
from .minimal_extproc import MinimalExtProc
from .other import other
from .portkey import Portkey
from .rolter import Rolter

#: Those that `./build.sh bench --peers` installs. `AiGateway(PATH)` needs a program that someone has built.
PEERS = [MinimalExtProc, Rolter, Ferrogw, LiteLlm, Portkey]

__all__ = ["PEERS", "AiGateway", "Ferrogw", "LiteLlm", "MinimalExtProc", "Portkey", "Rolter", "other"]

"""Python imports this at its start. Debian builds PyTorch without libuv.

A process of torchrun asks for it even so, for the agent's key-value store.
"""

import functools
import importlib
import os
from typing import Any

if "TORCHELASTIC_RUN_ID" in os.environ:
    # `torch.distributed.rendezvous` is a function of the same name.
    rendezvous: Any = importlib.import_module("torch.distributed.rendezvous")
    rendezvous.TCPStore = functools.partial(rendezvous.TCPStore, use_libuv=False)

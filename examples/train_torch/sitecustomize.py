"""Python imports this at its start. Debian builds PyTorch without libuv.

A process of torchrun asks for it even so, for the agent's key-value store.
"""

import functools
import os

if "TORCHELASTIC_RUN_ID" in os.environ:
    from torch.distributed import rendezvous

    rendezvous.TCPStore = functools.partial(rendezvous.TCPStore, use_libuv=False)

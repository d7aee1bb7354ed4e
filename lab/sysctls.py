"""The one setting of the machine's kernel that labs raise, and its way back.

What the kubelet sets is shadowed inside each host (lab.host_root). How many inotify
instances a user may have counts for all hosts together, and Debian's 128 is too few.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab import processes
from toolchain import paths, whole_files
from toolchain.locks import locked

MINIMUMS = {"fs/inotify/max_user_instances": 1024}
_PROC = Path("/proc/sys")


def _file() -> Path:
    return paths.state() / "labs" / ".sysctls.json"


@dataclass
class _Kept:
    before: dict[str, int] = field(default_factory=dict)
    labs: list[str] = field(default_factory=list)
    boot: str = field(default_factory=processes.boot)

    @classmethod
    def read(cls) -> _Kept:
        try:
            kept = cls(**json.loads(_file().read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return cls()
        # A boot of the machine ended all labs and undid all settings.
        return kept if kept.boot == processes.boot() else cls()

    def write(self) -> None:
        whole_files.write(_file(), json.dumps(asdict(self)))


def raise_for(lab: str) -> None:
    """Raises what is too low; remembers the old values and that this lab needs them."""
    with locked(_file().with_suffix(".lock")):
        kept = _Kept.read()
        if lab not in kept.labs:
            kept.labs.append(lab)
        for name, minimum in MINIMUMS.items():
            now = int((_PROC / name).read_text())
            if now < minimum:
                kept.before.setdefault(name, now)
        kept.write()
        for name in kept.before:
            (_PROC / name).write_text(f"{MINIMUMS[name]}\n")


def restore_for(lab: str) -> None:
    """Puts the old values back once no lab needs the others."""
    with locked(_file().with_suffix(".lock")):
        kept = _Kept.read()
        kept.labs = [name for name in kept.labs if name != lab]
        if not kept.labs:
            for name, value in kept.before.items():
                # If another value was set meanwhile, it was intended.
                if int((_PROC / name).read_text()) == MINIMUMS[name]:
                    (_PROC / name).write_text(f"{value}\n")
            kept.before = {}
        kept.write()

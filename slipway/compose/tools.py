"""The one-shot services that do what Kubernetes does beside a container.

Image volumes need Docker Engine 28, and few images contain a program that could copy
files or check health. So a volume provides one static program (images/compose_tools) to
every container: it fills volumes from model images, sets the owners of data folders and
runs all health checks. docs/decisions/0025-compose.md discusses the alternatives.
"""

from __future__ import annotations

import hashlib
from typing import Any

from components import images

IMAGE = "compose-tools"
SERVICE = "tools"
FOLDER = "/tools"
PROGRAM = f"{FOLDER}/compose-tools"
TARGET = "/slipway-volume"
NO_DNS = ["127.0.0.1"]
"""Name server for names that are not services; nothing answers at this address.
Otherwise Docker asks the machine's name servers: even internal networks could then send
queries to the outside, and callers of a service that is down would wait for their
answer."""
LOGGING = {"driver": "local", "options": {"max-size": "10m", "max-file": "3"}}
"""At most 30 MB a container; Docker's default has no bound."""
DONE = {"condition": "service_completed_successfully"}
_MEMORY_MIB = 128

Service = dict[str, Any]


def hardened(user: str) -> Service:
    """Common options of every container: no privileges, a read-only root."""
    return {
        "user": user,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "dns": NO_DNS,
        "logging": LOGGING,
    }


def limits(cpus: float, memory_mib: int, pids: int = 512) -> Service:
    """`deploy.resources`; a container without them may starve the machine."""
    found: Service = {"cpus": f"{cpus:g}", "memory": f"{memory_mib}M", "pids": pids}
    return {"limits": found}


def _one_shot(image: str, *words: str, **more: Any) -> Service:
    # As root, because a new volume belongs to root; it has only the named capabilities.
    return {
        **hardened("0:0"),
        "image": image,
        "entrypoint": [PROGRAM, *words],
        "network_mode": "none",
        "dns": None,
        "restart": "no",
        "deploy": {"resources": limits(1, _MEMORY_MIB, 64)},
        **more,
    }


def volume() -> str:
    """Name of the volume with the program; it differs between images."""
    return f"tools-{images.short_digest(images.resolve(IMAGE))}"


def service() -> Service:
    """Docker fills a new volume with what its image has at the mount point."""
    mount = {"type": "volume", "source": volume(), "target": FOLDER}
    return _one_shot(images.resolve(IMAGE), volumes=[mount])


def mount() -> Service:
    """The program in another container."""
    return read_only_volume(volume(), FOLDER)


def read_only_volume(source: str, target: str) -> Service:
    return {
        "type": "volume",
        "source": source,
        "target": target,
        "read_only": True,
        "volume": {"nocopy": True},
    }


def files_of(image: str, source: str) -> Service:
    """Fills the volume `source` with all that an image holds."""
    target = {
        "type": "volume",
        "source": source,
        "target": TARGET,
        "volume": {"nocopy": True},
    }
    return _one_shot(
        image,
        "copy",
        "/",
        TARGET,
        volumes=[mount(), target],
        depends_on={SERVICE: DONE},
    )


def owner_of(source: str, user: str) -> Service:
    """Gives the volume `source` to a user."""
    target = {
        "type": "volume",
        "source": source,
        "target": TARGET,
        "volume": {"nocopy": True},
    }
    return _one_shot(
        images.resolve(IMAGE),
        "own",
        TARGET,
        user,
        volumes=[target],
        cap_add=["CHOWN"],
    )


def health(url: str, *, seconds: int, timeout: int, failures: int) -> Service:
    """A health check by the program, at most every 5 s: each starts a process."""
    return {
        "test": ["CMD", PROGRAM, "get", url, str(timeout)],
        "interval": f"{max(seconds, 5)}s",
        "timeout": f"{timeout + 1}s",
        "retries": failures,
    }


def digest(*texts: str) -> str:
    """What changes with any of the texts."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]

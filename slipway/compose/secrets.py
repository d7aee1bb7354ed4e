"""Values of Secrets, which the user puts beside the project; Slipway has none of them.

A variable's value comes from .env, which Compose reads by itself, and a file's value
from the folder `secrets`. Both are kept when the project is written again.
"""

from __future__ import annotations

import re
from typing import Any

from slipway.compose.composition import Composition
from slipway.compose.objects import Object, name_of, problem

FOLDER = "secrets"


def variable(composition: Composition, workload: Object, secret: str, key: str) -> str:
    """Return Compose's reference to the value; it refuses to start without one."""
    name = re.sub(r"[^A-Z0-9]", "_", f"SECRET_{secret}_{key}".upper())
    if composition.secrets.setdefault(name, (secret, key)) != (secret, key):
        other = "/".join(composition.secrets[name])
        raise problem(
            workload,
            "spec.template.spec.containers.env",
            f"{secret}/{key}",
            f"{name} in .env already stands for {other}",
            "rename the Secret or its key",
        )
    composition.add_remark(
        f"{name_of(workload)} needs the key {key} of the Secret {secret}: put "
        f"{name}='...' into .env beside compose.yaml, readable only by you."
    )
    return f"${{{name}:?put the key {key} of the Secret {secret} into .env}}"


def file(
    composition: Composition, workload: Object, secret: str, key: str, target: str
) -> dict[str, Any]:
    """Mount the file that the user puts there."""
    source = f"{FOLDER}/{secret}/{key}"
    composition.add_remark(
        f"{name_of(workload)} needs the key {key} of the Secret {secret}: put it into "
        f"{source} beside compose.yaml, readable by the container's user."
    )
    return {
        "type": "bind",
        "source": f"./{source}",
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": False},
    }

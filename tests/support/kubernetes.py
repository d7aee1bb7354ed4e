"""What Kubernetes itself makes of a pod's variables and volumes, written after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """As third_party/forked/golang/expansion/expand.go of Kubernetes 1.36 does it."""
    found, at = "", 0
    while at < len(text):
        rest = text[at + 1 :]
        if text[at] != "$" or not rest:
            found, at = found + text[at], at + 1
        elif rest[0] == "$":
            found, at = found + "$", at + 2
        elif rest[0] == "(" and ")" in rest:
            name = rest[1 : rest.index(")")]
            found += variables.get(name, f"$({name})")
            at += len(name) + 3
        else:
            found, at = found + text[at : at + 2], at + 2
    return found


def files(pod: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """(Secret, key) of every file that a projected volume of the only container has.

    Fails where the kubelet would: a path twice, or a mount inside a read-only one.
    """
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = [m["mountPath"] for m in container["volumeMounts"]]
    found: dict[str, tuple[str, str]] = {}
    for mount in container["volumeMounts"]:
        projected = volumes[mount["name"]].get("projected")
        if projected is None:
            continue
        assert mount["readOnly"]
        for other in mounts:
            assert other == mount["mountPath"] or not other.startswith(
                f"{mount['mountPath']}/"
            )
        for source in projected["sources"]:
            secret = source["secret"]
            for item in secret["items"]:
                path = f"{mount['mountPath']}/{item['path']}"
                assert path not in found
                found[path] = (secret["name"], item["key"])
    return found

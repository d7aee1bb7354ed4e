"""Check the settings of an application, also against those of its server.

A pod has one set of variables and one tree of files. A name that is set twice would be
overridden silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from components import variable_problems
from components.security import secret_shapes
from components.serving.args.server_args import ServerArgs
from components.serving.settings import secret_folders
from components.setting_secrets import NOT_SHOWN
from components.settings import Problem

_HIDING = re.compile(
    r"/(app(/lib|/site)?|bin|boot|dev|etc(/ssl(/certs)?)?|home|lib(64)?|opt|proc|root|"
    r"run|sbin|srv|sys|usr(/(bin|lib(64)?|local(/(bin|lib))?|sbin|share))?|"
    r"var(/(cache|lib|log|run|spool))?)"
)
"""Folders that images fill: a volume there would hide files that a program needs."""
_KERNELS = ("/proc/", "/sys/", "/dev/", "/bin/", "/lib/", "/sbin/", "/usr/bin/")
_TOKENS = ("/run/secrets/", "/var/run/secrets/")
_ROLES = "eks.amazonaws.com", "kubernetes.io"


def problems(args: ServerArgs) -> Iterator[Problem]:
    """Report all problems; paths are relative to the model server's settings."""
    yield from secret_shapes.problems(
        args.environment, args.accept_plain_text, "Deployment"
    )
    yield from variable_problems.problems(
        args.environment,
        args.secrets,
        args.runtime.own_variables(args),
        whose=f"the model server ({args.runtime.kind})",
    )
    yield from _files(args)
    yield from _placement(args)
    yield from _twice(args)


def _files(args: ServerArgs) -> Iterator[Problem]:
    """Report files that collide with each other or with existing mounts."""
    places: dict[str, str] = {}
    for secret in sorted(args.secrets):
        for file in sorted(args.secrets[secret].files):
            path = f"secrets.{secret}.files.{file}"
            if file in places:
                reason, fix = f"{places[file]} is the same file", "rename one of them"
                yield Problem(path, NOT_SHOWN, reason, fix)
            places.setdefault(file, path)
    for file, path in places.items():
        if below := sorted(other for other in places if other.startswith(f"{file}/")):
            yield Problem(
                path,
                file,
                f"{below[0]} needs a folder at this path",
                "give the file another name or folder",
            )
    taken = args.runtime.mount_points()
    for file, path in places.items():
        if reason := _hides(secret_folders.root(file, places), taken):
            yield Problem(
                path,
                file,
                reason,
                "use a separate folder, such as "
                f"/etc/application/{file.rpartition('/')[2]}",
            )


def _hides(folder: str, taken: frozenset[str]) -> str:
    """Why no volume can be mounted at the folder; empty if one can."""
    if _HIDING.fullmatch(folder) or folder.startswith(_KERNELS):
        return f"a volume at {folder} would hide files of the image"
    if folder.startswith(_TOKENS) and folder.rpartition("secrets/")[2].startswith(
        _ROLES
    ):
        return f"{folder} is where the tokens of service accounts are mounted"
    for point in sorted(taken):
        if f"{folder}/".startswith(f"{point}/") or point.startswith(f"{folder}/"):
            return (
                f"the model server has {point} mounted, and {folder} would "
                "conflict with it"
            )
    return ""


def _placement(args: ServerArgs) -> Iterator[Problem]:
    """Report a label that the GPUs' pool already selects."""
    gpus = args.runtime.accelerators
    for key, value in gpus.node_selector.items() if gpus else ():
        if key in args.node_selector:
            yield Problem(
                f"node_selector.{key}",
                args.node_selector[key],
                f"runtime.gpus.pool already sets it: {value}",
                "remove it",
            )


def _twice(args: ServerArgs) -> Iterator[Problem]:
    """Report an allowance that exists already."""
    for index, one in enumerate(args.egress):
        if one in args.egress[:index]:
            yield Problem(
                f"egress.{index}",
                one.model_dump(exclude_unset=True),
                "the same entry is already listed",
                "remove it",
            )

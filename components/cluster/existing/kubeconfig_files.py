"""Kubeconfigs: read, merged and checked by the rules of Kubernetes' own clients.

The rules are those of client-go, which Pulumi's provider and kubectl use; why no Python
client's reader is used stands in decision 0035.
https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from components.cluster.existing.kubeconfig_entries import Cluster, Context, File, User
from components.setting_problems import nearest
from components.yaml_text import YamlError, read

VARIABLE = "KUBECONFIG"
KUBECONFIG, CONTEXT = "kubeconfig", "context"


class KubeconfigError(Exception):
    """A kubeconfig that cannot be used; `reason` and `fix` say why and what to do.

    `setting` is the one of a stack's `cluster` that the error is about.
    """

    def __init__(self, reason: str, fix: str, setting: str = KUBECONFIG) -> None:
        self.reason, self.fix, self.setting = reason, fix, setting
        super().__init__(f"{reason}; {fix}")


@dataclass(frozen=True)
class Access:
    """Data for using one cluster; relative paths start at the folders."""

    context: str
    cluster: Cluster
    cluster_folder: Path
    user: User
    user_folder: Path

    def relative_paths(self) -> Iterator[tuple[str, str]]:
        """Fields whose path depends on where the kubeconfig lies, and the path."""
        paths = {
            "certificate-authority": self.cluster.authority,
            "client-certificate": self.user.certificate,
            "client-key": self.user.key,
            "tokenFile": self.user.token_file,
            "exec.command": self.user.exec.command if self.user.exec else "",
        }
        for name, path in paths.items():
            program = name == "exec.command" and os.sep not in path  # found on PATH
            if path and not program and not Path(path).is_absolute():
                yield name, path


Value = TypeVar("Value")
_Placed = dict[str, tuple[Value, Path]]


@dataclass(frozen=True)
class Kubeconfig:
    """One or several files as one; each entry with the folder of its file."""

    current: str
    clusters: _Placed[Cluster]
    users: _Placed[User]
    contexts: _Placed[Context]
    source: str

    @classmethod
    def of_text(cls, text: str, folder: Path | None = None) -> Self:
        """A kubeconfig's content; relative paths in it start at the folder."""
        return cls._merged([(_parsed(text, "the kubeconfig"), folder or Path())], "it")

    @classmethod
    def of_files(cls, files: Sequence[Path]) -> Self:
        """Merge several files: of conflicting values, the first one counts.

        Files that are not there are passed over; KubeconfigError if none is.
        """
        there = [file for file in files if file.exists()]
        names = ", ".join(map(str, files))
        if not there:
            raise KubeconfigError(
                f"there is no kubeconfig {names}",
                "start the lab (slipway local up), or give another kubeconfig",
            )
        parsed = [(_parsed(_content(f), str(f)), f.resolve().parent) for f in there]
        return cls._merged(parsed, names)

    @classmethod
    def _merged(cls, files: list[tuple[File, Path]], source: str) -> Self:
        currents = [file.current for file, _ in files if file.current]
        clusters: _Placed[Cluster] = {}
        users: _Placed[User] = {}
        contexts: _Placed[Context] = {}
        for file, folder in files:
            for cluster in file.clusters:
                clusters.setdefault(cluster.name, (cluster.cluster, folder))
            for user in file.users:
                users.setdefault(user.name, (user.user, folder))
            for context in file.contexts:
                contexts.setdefault(context.name, (context.context, folder))
        current = currents[0] if currents else ""
        return cls(current, clusters, users, contexts, source)

    def access(self, context: str | None = None) -> Access:
        """Return the named context's data, or the current one's; KubeconfigError."""
        name = context or self.current
        if not name:
            raise KubeconfigError(
                "the kubeconfig has no current-context",
                f"set cluster.context; {_known(self.contexts)}",
                CONTEXT,
            )
        chosen, _ = _found(self.contexts, name, "context", CONTEXT)
        if not chosen.cluster:
            raise KubeconfigError(
                f"the context {name} names no cluster", "give its `cluster`"
            )
        cluster, cluster_folder = _found(self.clusters, chosen.cluster, "cluster")
        if not cluster.server.startswith(("https://", "http://")):
            raise KubeconfigError(
                f"the cluster {chosen.cluster} has no server address",
                "give its `server`: https://<host>:<port>",
            )
        user, user_folder = User(), Path()
        if chosen.user:
            user, user_folder = _found(self.users, chosen.user, "user")
            _require_credentials(chosen.user, user)
        return Access(name, cluster, cluster_folder, user, user_folder)


def ambient() -> list[Path]:
    """The files of $KUBECONFIG in its order, else ~/.kube/config."""
    given = [p for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    return [Path(p) for p in given] or [Path.home() / ".kube" / "config"]


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise KubeconfigError(
            f"{file} cannot be read ({said})", "give a kubeconfig that you can read"
        ) from None


def _parsed(text: str, where: str) -> File:
    try:
        return File.model_validate(read(text, where))
    except YamlError as error:
        raise KubeconfigError(str(error), "give a kubeconfig") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise KubeconfigError(
            f"{where} is not a valid kubeconfig: {place}: {first['msg']}",
            "`kubectl config view` shows the form",
        ) from None


def _known(entries: _Placed[Any]) -> str:
    return f"known: {', '.join(sorted(entries)) or 'none'}"


def _found(
    entries: _Placed[Value], name: str, kind: str, setting: str = KUBECONFIG
) -> tuple[Value, Path]:
    if name in entries:
        return entries[name]
    meant = nearest(name, entries)
    hint = f"did you mean {meant}? " if meant else ""
    raise KubeconfigError(
        f"the kubeconfig has no {kind} {name!r}", f"{hint}{_known(entries)}", setting
    )


def _require_credentials(name: str, user: User) -> None:
    given = (user.token, user.token_file, user.certificate, user.certificate_data)
    if user.exec or user.username or any(given):
        return
    if user.auth_provider is not None:
        raise KubeconfigError(
            f"the user {name} has an auth-provider, which Kubernetes clients have not "
            "supported since 1.26",
            "give it an `exec` program, or a token",
        )
    raise KubeconfigError(
        f"the user {name} has no credentials",
        "give it a token, a client-certificate with its key, or an `exec` program; or "
        "leave `user` out of the context for a server that requires none",
    )

"""Exports the ledger's states to a model's aliases in MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.ledger.lifecycle import History, Revision
from slipway.ledger.mlflow_match import (
    DIGEST_TAG,
    content_digest,
    in_state,
    revision_of,
    versions_of,
)
from slipway.ledger.mlflow_server import MlflowServer, Version
from toolchain.errors import WrongInputError


@dataclass(frozen=True)
class Target:
    """An alias as it is and as it should be; version numbers, empty for none."""

    alias: str
    before: str
    after: str
    line: str
    """For people."""

    @property
    def differs(self) -> bool:
        return self.before != self.after

    def apply(self, server: MlflowServer, model: str) -> str:
        """Set or delete the alias; returns what was done."""
        if self.after:
            server.set_alias(model, self.alias, self.after)
            return f"{self.alias}: set to version {self.after}"
        server.delete_alias(model, self.alias)
        return f"{self.alias}: deleted"


def plan(
    history: History,
    wanted: Mapping[str, str],
    aliases: Mapping[str, str],
    versions: Sequence[Version],
) -> list[Target]:
    """What becomes of each wanted alias; WrongInputError lists all that hinders it.

    wanted: aliases by state. aliases: version numbers by alias, as MLflow has them.
    """
    found: list[Target] = []
    problems: list[str] = []
    for state, alias in wanted.items():
        for one in _target(history, state, (alias, aliases.get(alias, "")), versions):
            if isinstance(one, Target):
                found.append(one)
            else:
                problems.append(one)
    if problems:
        lines = "".join(f"\n  {it}" for it in problems)
        raise WrongInputError(f"{history.model}: nothing was exported:{lines}")
    return found


def _target(
    history: History, state: str, now: tuple[str, str], versions: Sequence[Version]
) -> Iterator[Target | str]:
    alias, before = now
    named = f"version {before}{_whose(history, before, versions)}" if before else "none"
    candidates = in_state(history, state)
    if candidates:
        yield _set(history, candidates, (alias, before, named), versions)
    elif not before:
        yield Target(alias, "", "", f"{alias}: none, as it is; {_no_one(state)}")
    elif any(it.number == before and _known(history, it) for it in versions):
        line = f"{alias}: {named} -> none; {_no_one(state)}"
        yield Target(alias, before, "", line)
    else:
        line = f"{alias}: {named}, left as it is; {_no_one(state)}"
        yield Target(alias, before, before, line)


def _set(
    history: History,
    candidates: Sequence[Revision],
    now: tuple[str, str, str],
    versions: Sequence[Version],
) -> Target | str:
    alias, before, named = now
    revision = candidates[-1]
    numbers = versions_of(revision, history, versions)
    if not numbers:
        return (
            f"{alias}: {revision.name} is {revision.state}, and no version in MLflow "
            f"has the tag {DIGEST_TAG}={content_digest(revision.subject)}; set it: "
            f"slipway ledger mlflow link {history.model} {revision.name} VERSION"
        )
    after = before if before in numbers else numbers[-1]
    since = f"{revision.state} since entry {revision.newest.sequence}"
    if others := ", ".join(it.name for it in candidates[:-1]):
        since += f", after {others}"
    if after == before:
        return Target(alias, before, after, f"{alias}: {named}, as it is; {since}")
    line = f"{alias}: {named} -> version {after} ({revision.name}); {since}"
    return Target(alias, before, after, line)


def _whose(history: History, number: str, versions: Sequence[Version]) -> str:
    for one in versions:
        if one.number == number and (name := _known(history, one)):
            return f" ({name})"
    return " (not in the ledger)"


def _known(history: History, version: Version) -> str:
    found = revision_of(history, version)
    return found.name if isinstance(found, Revision) else ""


def _no_one(state: str) -> str:
    return f"no revision is {state}" if state != "staged" else "no revision waits"

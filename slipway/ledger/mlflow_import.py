"""Imports a model's aliases in MLflow into the ledger's states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.ledger.lifecycle import (
    CANARY,
    SERVING,
    SHADOW,
    STAGED,
    History,
    Revision,
)
from slipway.ledger.mlflow_match import in_state, revision_of
from slipway.ledger.mlflow_server import Version
from toolchain.errors import WrongInputError

AS_GOOD = {STAGED: (SHADOW, CANARY, SERVING)}
"""States that are enough for the alias of another: a version often has two aliases."""


@dataclass(frozen=True)
class Move:
    """An entry to write."""

    revision: str
    state: str
    source: str
    """MLflow's data for the entry's reason."""
    line: str
    """For people."""
    passed: Sequence[str] = ()
    """States in which the revision is left, should it be in one by then."""


@dataclass(frozen=True)
class Plan:
    """Entries to write, in order, and aliases that need none."""

    moves: Sequence[Move]
    same: Sequence[str]


@dataclass(frozen=True)
class _Named:
    alias: str
    state: str
    version: str
    revision: Revision

    @property
    def source(self) -> str:
        return f"alias {self.alias} of version {self.version}"


def plan(
    history: History, wanted: Mapping[str, str], named: Mapping[str, Version]
) -> Plan:
    """Entries that bring the ledger to what the aliases say.

    wanted: aliases by state. named: versions by alias, as MLflow has them; an alias
    that is not there says nothing. WrongInputError lists all aliases that the ledger
    cannot follow.
    """
    found: list[_Named] = []
    problems: list[str] = []
    for state, alias in wanted.items():
        if alias not in named:
            continue
        revision = revision_of(history, named[alias])
        if isinstance(revision, str):
            problems.append(f"{alias}: {revision}")
        else:
            found.append(_Named(alias, state, named[alias].number, revision))
    problems += [*_in_two_states(found), *_refused(history, found)]
    if problems:
        lines = "".join(f"\n  {it}" for it in problems)
        raise WrongInputError(f"{history.model}: nothing was imported:{lines}")
    first = [_move(one) for one in found if not _is_so(one)]
    moving = {it.revision for it in first}
    back = [
        move for one in found if _is_so(one) for move in _back(history, one, moving)
    ]
    absent = [f"{it}: not set in MLflow" for it in wanted.values() if it not in named]
    return Plan([*first, *back], [*map(_same, filter(_is_so, found)), *absent])


def _is_so(one: _Named) -> bool:
    return one.revision.state in (one.state, *AS_GOOD.get(one.state, ()))


def _in_two_states(found: Sequence[_Named]) -> Iterator[str]:
    states: dict[str, _Named] = {}
    for one in found:
        if one.state == STAGED:
            continue
        before = states.setdefault(one.revision.name, one)
        if before is not one:
            yield (
                f"{before.alias}, {one.alias}: both name {one.revision.name}, which "
                "has one state; delete one of the aliases in MLflow"
            )


def _refused(history: History, found: Sequence[_Named]) -> Iterator[str]:
    for one in found:
        refusal = history.refusal(one.revision.name, one.state)
        if refusal and not _is_so(one):
            yield (
                f"{one.alias}: version {one.version} is {one.revision.name}, and "
                f"{refusal}"
            )


def _move(one: _Named) -> Move:
    line = (
        f"{one.alias}: version {one.version} is {one.revision.name}: "
        f"{one.revision.state} -> {one.state}"
    )
    passed = AS_GOOD.get(one.state, ())
    return Move(one.revision.name, one.state, one.source, line, passed)


def _back(history: History, one: _Named, moving: set[str]) -> Iterator[Move]:
    """Revisions that entered the state after the named one: MLflow went back to it.

    Without this, the ledger's newest would be another than MLflow's, and an export
    would undo what somebody did in MLflow.
    """
    if one.state == STAGED:
        return
    since = one.revision.newest.sequence
    for other in in_state(history, one.state):
        if other.newest.sequence > since and other.name not in moving:
            line = (
                f"{one.alias}: version {one.version} is {one.revision.name} again; "
                f"{other.name}: {other.state} -> {STAGED}"
            )
            yield Move(other.name, STAGED, one.source, line)


def _same(one: _Named) -> str:
    return (
        f"{one.alias}: version {one.version} is {one.revision.name}, "
        f"{one.revision.state} as it is"
    )

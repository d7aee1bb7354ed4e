"""The command `retraining`: a model's requests, for people and for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from model_monitor import commands
from model_monitor.config import Config
from model_monitor.retraining import stored
from model_monitor.retraining.stored import Stored
from model_monitor.store import Store

if TYPE_CHECKING:
    Parsers = argparse._SubParsersAction[argparse.ArgumentParser]

MEANING = "Print the requests to retrain a model, the newest first."


def add_command(commands_: Parsers) -> None:
    """Add the command to those of the program."""
    command = commands_.add_parser("retraining", help=MEANING, description=MEANING)
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--json", action="store_true", help="as they are stored")
    command.set_defaults(
        run=lambda settings, it: show(settings, it.model, as_json=it.json)
    )


def show(settings: Config, name: str, *, as_json: bool) -> int:
    """Print a model's requests to retrain, the newest first; the exit status."""
    if settings.model(name) is None:
        known = ", ".join(it.name for it in settings.models) or "none"
        commands.complain(f"{name}: no such model in the configuration; known: {known}")
        return commands.WRONG
    found = list(stored.read_all(Store(settings.store), name))[::-1]
    if as_json:
        print(json.dumps([_plain(it) for it in found], indent=1))
    elif not found:
        print(f"{name}: retraining has not been requested")
    else:
        print("\n\n".join("\n".join(_lines(it)) for it in found))
    return 0


def _plain(request: Stored) -> dict[str, Any]:
    state = request.state
    return {"request": request.content, "state": state and asdict(state)}


def _lines(request: Stored) -> Iterator[str]:
    content = request.content
    state = "open" if request.is_open else "over"
    yield f"{request.id}: {state}, {', '.join(request.causes)}"
    yield f"  revision {content['revision']}, requested {content['created']}"
    for it in content["why"]:
        yield f"  {_quality(it) if it['kind'] == 'quality' else _concept(it)}"
    drifted = [it["name"] for it in content["context"]["drifted_features"]]
    yield f"  drifted features: {', '.join(drifted) or 'none'}"
    days = content["training_days"]
    if days:
        labelled = sum(it["labelled"] for it in days)
        span = f"{days[0]['date']} to {days[-1]['date']}"
        yield f"  to train from: {labelled:,} labelled rows of {len(days)} days, {span}"
    else:
        yield "  to train from: no day with enough labels"
    if request.state and request.state.delivery.attempts:
        delivery = request.state.delivery
        sent = "sent" if delivery.delivered is not None else "not taken"
        yield f"  webhook: {sent}, attempts {delivery.attempts}, last {delivery.answer}"


def _quality(why: dict[str, Any]) -> str:
    return (
        f"{why['metric']} {why['value']:.4f} [{why['low']:.4f}, {why['high']:.4f}], "
        f"baseline {why['baseline']:.4f} +- {why['margin']:g}, {why['start']} to "
        f"{why['end']}, {why['labelled']:,} labels"
    )


def _concept(why: dict[str, Any]) -> str:
    return (
        f"error rate {why['error']:.4f}, baseline {why['baseline']:.4f}; CUSUM "
        f"{why['statistic']:.1f}, limit {why['limit']:g}, alarm {why['alarms'][-1]}"
    )

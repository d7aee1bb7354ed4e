"""The command `experiment`: the report of a plan, as JSON.

It takes no lock, so it works beside a running monitor.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from model_monitor import commands
from model_monitor.config import Config
from model_monitor.experiments import plan
from model_monitor.experiments.counting import count
from model_monitor.experiments.report import report
from model_monitor.store import Store


def add_command(subcommands: Any) -> None:
    """Add `experiment` to the program's commands."""
    meaning = "Print the report of an A/B experiment, as JSON."
    command = subcommands.add_parser("experiment", help=meaning, description=meaning)
    command.add_argument("plan", metavar="PLAN", help="JSON of `slipway experiment`")
    command.set_defaults(run=run)


def run(settings: Config, options: argparse.Namespace) -> int:
    """Print the report; return the status of wrong arguments for no plan."""
    try:
        wanted = plan.read(options.plan)
    except plan.PlanError as error:
        commands.complain(str(error))
        return commands.WRONG
    if settings.model(wanted.model) is None:
        commands.complain(f"{wanted.model}: no such model in the configuration")
        return commands.WRONG
    print(json.dumps(report(wanted, count(Store(settings.store), wanted))))
    return 0

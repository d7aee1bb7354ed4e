"""The monitor's program; MODEL_MONITOR_CONFIG names its configuration file.

Exit status: 0 done, 1 failed or found broken, 2 wrong settings or arguments, 3 a
request that is not answered yet.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from model_monitor import commands, config, logs, lookup, operations, server
from model_monitor.audit import Anchor, ChainError
from model_monitor.backfill import BackfillError
from model_monitor.column_mapping import ColumnMapping
from model_monitor.config import Config, ConfigError
from model_monitor.experiments import command as experiments
from model_monitor.retraining import printing
from model_monitor.store import Store, StoreInUseError

Command = Callable[[Config, argparse.Namespace], int]


def _serve(settings: Config, _: argparse.Namespace) -> int:
    with Store(settings.store).opened() as store:
        return server.serve(settings, store)


def _cycle(settings: Config, _: argparse.Namespace) -> int:
    with Store(settings.store).opened() as store:
        return commands.cycle(settings, store)


def _figures(settings: Config, options: argparse.Namespace) -> int:
    return commands.figures(settings, options.model, as_json=options.json)


def _verify(settings: Config, options: argparse.Namespace) -> int:
    return commands.verify_chain(settings, options.anchor)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="model_monitor", description=__doc__)
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, meaning: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=meaning, description=meaning)
        command.set_defaults(run=run)
        return command

    add("serve", _serve, "Receive logs and labels, watch, and answer /metrics.")
    add("cycle", _cycle, "Read what has come, count and judge, once.")
    figures = add("figures", _figures, "Print the last results of a model.")
    figures.add_argument("model", metavar="MODEL")
    figures.add_argument("--json", action="store_true", help="as they are stored")
    _add_backfill(
        add(
            "backfill",
            operations.backfill,
            "Import predictions and labels of a past period, then do a cycle.",
        )
    )
    labels = add("import-labels", operations.import_labels, "Import files of labels.")
    labels.add_argument("files", nargs="+", type=Path, metavar="FILE")
    _add_asking(labels)
    lookup.add_command(commands)
    printing.add_command(commands)
    experiments.add_command(commands)
    check = add("verify", _verify, "Verify the audit chain.")
    check.add_argument(
        "--anchor",
        type=_anchor,
        metavar="NUMBER:HASH",
        help="the newest entry as an earlier run printed it",
    )
    gone = add(
        "erase", operations.erase, "Erase all rows of one subject; print the receipt."
    )
    gone.add_argument("field", help='"id", "unit", or a feature or attribute')
    gone.add_argument(
        "value", help="as the log has it: the hash of a hashed feature or of a unit"
    )
    gone.add_argument(
        "--key", type=Path, required=True, help="file of the key of the receipt's hash"
    )
    _add_asking(gone)
    asked = add("request", operations.show, "Print the answer of a request.")
    asked.add_argument("id", metavar="ID", help="as --no-wait printed it")
    return found


def _add_backfill(command: argparse.ArgumentParser) -> None:
    default = ColumnMapping()
    command.add_argument("--model", required=True, help="name in the configuration")
    command.add_argument(
        "--predictions", type=Path, required=True, help="parquet or CSV file"
    )
    command.add_argument("--labels", type=Path, help="parquet or CSV file")
    for name, meaning in {
        "id": f"column of both files; {default.id}",
        "row": "column of both files; 0",
        "time": "column with the time of a prediction, in UTC",
        "date": "day of all predictions, where no column has the time",
        "decision": f"column; {default.decision}",
        "score": "column with the score; of two classes, that of the second",
        "features": "columns, with commas; those of the model's reference",
        "protected": "columns, with commas; those of the configuration's fairness",
        "label": f"column of the labels; {default.label}",
        "label-time": "column of the labels with the time when each became known; now",
        "revision": f"revision of all predictions; {default.revision}",
        "arm": f"arm of all predictions; {default.arm}",
    }.items():
        command.add_argument(f"--{name}", metavar="NAME", help=meaning)
    _add_asking(command)


def _add_asking(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--actor",
        default=os.environ.get("USER", "operator"),
        help="who does it, for the audit chain; %(default)s",
    )
    command.add_argument(
        "--no-wait",
        dest="wait",
        action="store_false",
        help="where a running monitor does it: print the request's id and end",
    )


def _anchor(text: str) -> Anchor:
    number, _, digest = text.partition(":")
    return Anchor(int(number), digest)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    logs.configure()
    try:
        settings = config.from_environment(os.environ)
        run: Command = options.run
        return run(settings, options)
    except (ConfigError, BackfillError) as error:
        commands.complain(*error.problems)
        return commands.WRONG
    except (StoreInUseError, ChainError, OSError, duckdb.Error) as error:
        commands.complain(str(error).partition("\n")[0])
        return 1


if __name__ == "__main__":
    sys.exit(main())

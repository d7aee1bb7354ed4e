"""`python -m model_server.check FOLDER`: a server's checks of it, without a server.

FOLDER is a model folder or holds some. Each model is loaded, warmed up, examined and
compared with its examples as a server does it at its start; nothing listens.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from model_server.config import Config, ConfigError, read
from model_server.manifest import ModelError
from model_server.model import find_models, load_model
from model_server.preparation import Prepared, prepare


def check(folder: Path, config: Config) -> tuple[list[Prepared], list[str]]:
    """Return the models of a folder that a server would serve, and all problems."""
    is_one = (folder / "model.yaml").is_file()
    paths = [folder] if is_one else find_models(folder)
    if not paths:
        return [], [f"{folder}: holds no model.yaml and no folder with one"]
    found: list[Prepared] = []
    problems: list[str] = []
    for path in paths:
        try:
            found.append(
                prepare(
                    load_model(path, config.threads or 1),
                    max_batch_rows=config.max_batch_rows,
                    max_request_rows=config.max_request_rows,
                    evaluator=config.evaluator,
                )
            )
        except ModelError as error:
            problems += error.problems
    return found, problems


def log_fields(item: Prepared) -> str:
    """Return one line on a model that would be served."""
    manifest = item.model.manifest
    text = f"{manifest.name} {manifest.version}: "
    if item.doubt:
        text += f"each request would run by itself, since {item.doubt}; "
    elif item.runs_apart:
        text += "each request runs by itself; "
    else:
        text += "each row is answered by itself; "
    if item.examples:
        return f"{text}all {item.examples} examples agree"
    return f"{text}no examples.json to compare with"


def main() -> int:
    """Return 0 if all would be served, 1 if not, 2 if a setting is wrong."""
    parser = argparse.ArgumentParser(prog="model_server.check", description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    try:
        config = read(os.environ)
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    found, problems = check(options.folder, config)
    lines = [log_fields(item) for item in found]
    print("\n".join([*lines, *problems]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

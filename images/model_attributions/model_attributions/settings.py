"""The job's configuration file, read once, with all problems at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

VARIABLE = "MODEL_ATTRIBUTIONS_CONFIG"
BOUNDS = {
    "repetitions": (2, 100),
    "rows_per_second": (100, 100_000_000),
    "seconds": (1, 86_400),
}


class SettingsError(Exception):
    """The file is wrong; `problems` holds one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Watched:
    """A model by its name in the log, and the folder where it lies."""

    name: str
    folder: Path


@dataclass(frozen=True)
class Settings:
    """The whole file."""

    monitor: str
    """The monitor's address, http://HOST:PORT."""
    token: Path
    """File of the token that the monitor wants; read once."""
    models: tuple[Watched, ...]
    repetitions: int = 5
    rows_per_second: int = 20_000
    """Most rows that the model is given."""
    seconds: int = 600
    """For one day of one model."""


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the file that the environment names; raise SettingsError."""
    path = environment.get(VARIABLE, "")
    if not path:
        raise SettingsError(
            [f"{VARIABLE}: is not set; set it to the path of the configuration file"]
        )
    try:
        raw = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise SettingsError([f"{path}: cannot be read as JSON: {error}"]) from None
    if not isinstance(raw, dict):
        raise SettingsError([f"{path}: must be an object; write {{ ... }}"])
    problems: list[str] = []
    found = _settings(raw, problems)
    if problems:
        raise SettingsError([f"{path}: {problem}" for problem in problems])
    return found


def _settings(raw: dict[str, Any], problems: list[str]) -> Settings:
    known = {"monitor", "token", "models", *BOUNDS}
    problems += [
        f"{name}: no such setting; known are {', '.join(sorted(known))}"
        for name in raw.keys() - known
    ]
    numbers = {
        name: _whole(raw, name, *bounds, problems)
        for name, bounds in BOUNDS.items()
        if name in raw
    }
    return Settings(
        monitor=_monitor(raw, problems),
        token=Path(_text(raw, "token", problems)),
        models=_models(raw.get("models"), problems),
        **numbers,
    )


def _models(raw: object, problems: list[str]) -> tuple[Watched, ...]:
    if not isinstance(raw, list) or not all(isinstance(it, dict) for it in raw):
        problems.append(f"models={raw!r}: is not a list of objects; write [{{ ... }}]")
        return ()
    return tuple(
        Watched(_text(it, "name", problems), Path(_text(it, "folder", problems)))
        for it in raw
    )


def _monitor(raw: dict[str, Any], problems: list[str]) -> str:
    value = _text(raw, "monitor", problems)
    parts = urlsplit(value)
    if value and (parts.scheme != "http" or not parts.hostname or parts.path):
        problems.append(f"monitor={value!r}: is not an address; write http://HOST:PORT")
    return value


def _text(raw: dict[str, Any], name: str, problems: list[str]) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        problems.append(f"{name}={value!r}: is not a text; write it in quotes")
        return ""
    return value


def _whole(
    raw: dict[str, Any], name: str, least: int, most: int, problems: list[str]
) -> int:
    value = raw[name]
    if isinstance(value, bool) or not isinstance(value, int):
        problems.append(f"{name}={value!r}: is not a whole number; give one")
        return least
    if not least <= value <= most:
        problems.append(
            f"{name}={value!r}: must lie between {least} and {most}; change it"
        )
    return value

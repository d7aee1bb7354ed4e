"""The console's settings: read once from the environment, all problems at once.

`VARIABLES` is the one table of what can be set; a test compares the page with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from model_console.hosts import NAME

PREFIX = "MODEL_CONSOLE_"


@dataclass(frozen=True)
class Variable:
    """One environment variable: name without the prefix, default, range, meaning."""

    name: str
    default: str | int | float
    meaning: str
    least: float = 0
    most: float = math.inf


VARIABLES = (
    Variable("MONITOR_URL", "", "address of the model monitor; required"),
    Variable(
        "ALERTMANAGER_URL", "", "address of Alertmanager; without it no alert is shown"
    ),
    Variable(
        "ROLLOUTS_URL",
        "",
        "address of the rollout controller; without it no rollout is shown",
    ),
    Variable("TIMEOUT_SECONDS", 3.0, "longest time for a whole answer", 0.1, 60),
    Variable("ANSWER_MIB", 8, "largest answer, in MiB", 1, 1024),
    Variable("HOST", "0.0.0.0", "address to listen on"),  # noqa: S104, a container's
    Variable(
        "NAMES",
        "",
        "host names, with commas, that readers may open it by beside addresses, names "
        "without a dot and those of Services",
    ),
    Variable("PORT", 9310, "port of the pages; 0 takes a free one", 0, 65535),
    Variable(
        "METRICS_PORT",
        9311,
        "port of probes and metrics; 0 takes a free one",
        0,
        65535,
    ),
)


class SettingsError(Exception):
    """The environment is wrong; `problems` holds one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    """The parsed environment; see `VARIABLES` for what each field means."""

    monitor_url: str
    alertmanager_url: str
    rollouts_url: str
    timeout_seconds: float
    answer_mib: int
    host: str
    names: tuple[str, ...]
    port: int
    metrics_port: int


class _Reading:
    """The values of one environment, and what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []
        self._variables = {PREFIX + it.name: it for it in VARIABLES}
        for name in sorted(environment):
            if name.startswith(PREFIX) and name not in self._variables:
                self.problems.append(
                    f"{name}: no such variable; remove it, or correct its name"
                )

    def text(self, name: str) -> str:
        known = self._variables[PREFIX + name]
        return self._environment.get(PREFIX + name, str(known.default))

    def wrong(self, name: str, reason: str, fix: str) -> None:
        # An address may hold a password.
        shown = "" if name.endswith("_URL") else f"={self.text(name)!r}"
        self.problems.append(f"{PREFIX}{name}{shown}: {reason}; {fix}")

    def number(self, name: str) -> float:
        """Return the number, or the default if it is wrong."""
        known, text = self._variables[PREFIX + name], self.text(name)
        is_whole = isinstance(known.default, int)
        try:
            found: float = int(text) if is_whole else float(text)
        except ValueError:
            word = "a whole number" if is_whole else "a number"
            self.wrong(name, f"is not {word}", "unset it or give one")
            return float(known.default)
        if not known.least <= found <= known.most:
            within = f"between {known.least:g} and {known.most:g}"
            self.wrong(name, "is out of range", f"give a number {within}")
        return found

    def names(self, name: str) -> tuple[str, ...]:
        """Return host names in lower case; none if one is wrong."""
        found = [it.strip().lower() for it in self.text(name).split(",") if it.strip()]
        if wrong := [it for it in found if not NAME.fullmatch(it)]:
            reason = (
                f"has an entry that is not a host name: {', '.join(map(repr, wrong))}"
            )
            self.wrong(name, reason, "give names without scheme and port")
            return ()
        return tuple(found)

    def url(self, name: str, *, required: bool) -> str:
        """Return an address without a slash at its end; empty if none is given."""
        text = self.text(name).rstrip("/")
        fix = "give scheme, host and port, http://model-monitor:9300"
        if not text:
            if required:
                self.wrong(name, "is missing", fix)
            return ""
        try:
            parts = urlsplit(text)
            is_right = parts.scheme in {"http", "https"} and bool(parts.hostname)
            is_right = is_right and (parts.port is None or parts.port > 0)
        except ValueError:
            is_right = False
        if not is_right:
            self.wrong(name, "is not an address of a web server", fix)
        elif parts.username or parts.password or parts.query or parts.fragment:
            self.wrong(name, "has a user, a query or a fragment", fix)
        return text


def read(environment: Mapping[str, str]) -> Settings:
    """Parse the environment; raise SettingsError with every problem found."""
    values = _Reading(environment)
    found = Settings(
        monitor_url=values.url("MONITOR_URL", required=True),
        alertmanager_url=values.url("ALERTMANAGER_URL", required=False),
        rollouts_url=values.url("ROLLOUTS_URL", required=False),
        timeout_seconds=values.number("TIMEOUT_SECONDS"),
        answer_mib=int(values.number("ANSWER_MIB")),
        host=values.text("HOST"),
        names=values.names("NAMES"),
        port=int(values.number("PORT")),
        metrics_port=int(values.number("METRICS_PORT")),
    )
    if not found.host:
        values.wrong("HOST", "is empty", "unset it to listen everywhere")
    if values.problems:
        raise SettingsError(values.problems)
    return found

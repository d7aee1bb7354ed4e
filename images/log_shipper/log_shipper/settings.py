"""The shipper's settings: read once from the environment, all problems at once.

`VARIABLES` is the one table of what can be set; a test compares the README's with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from log_shipper.addresses import (
    Address,
    AddressError,
    FolderAddress,
    HttpAddress,
    parse,
    without_password,
)

PREFIX = "LOG_SHIPPER_"


@dataclass(frozen=True)
class Variable:
    """One environment variable: name without the prefix, default, range, meaning."""

    name: str
    default: str | int | float
    meaning: str
    least: float = 0
    most: float = math.inf


VARIABLES = (
    Variable("FOLDER", "/var/log/predictions", "folder of the prediction log"),
    Variable("SINK", "", "where files are sent; required"),
    Variable("TOKEN_FILE", "", "file with the bearer token of an HTTP sink"),
    Variable(
        "CA_FILE", "", "PEM file of the CA of an HTTPS sink; default: the system's"
    ),
    Variable("POLL_SECONDS", 1.0, "between two looks at the folder", 0.01, 60),
    Variable(
        "TIMEOUT_SECONDS",
        30.0,
        "longest that the sink may take nothing and answer nothing",
        0.1,
        3600,
    ),
    Variable("RETRY_SECONDS", 1.0, "wait after the first failure", 0.01, 3600),
    Variable(
        "RETRY_MAX_SECONDS",
        60.0,
        "longest wait between attempts; also the wait after an error of a single file",
        0.01,
        3600,
    ),
    Variable("DRAIN_SECONDS", 15.0, "longest time to send after SIGTERM", 0, 3600),
    Variable(
        "REFUSED_BYTES",
        64 * 2**20,
        "size of the folder `refused`; beyond it its oldest files are deleted and "
        "counted as lost",
        0,
        2**40,
    ),
    Variable("HOST", "0.0.0.0", "address of probes and metrics"),  # noqa: S104, a container's
    Variable("PORT", 9102, "port of probes and metrics; 0 takes a free one", 0, 65535),
)


@dataclass(frozen=True)
class Problem:
    """One wrong setting."""

    path: str
    """The variable."""
    value: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}={self.value!r}: {self.reason}; {self.fix}"


class SettingsError(Exception):
    """The environment is wrong; `problems` holds every fault."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    """The parsed environment; see `VARIABLES` for what each field means."""

    folder: Path
    sink: Address
    token_file: Path | None
    ca_file: Path | None
    poll_seconds: float
    timeout_seconds: float
    retry_seconds: float
    retry_max_seconds: float
    drain_seconds: float
    refused_bytes: int
    host: str
    port: int


class _Reading:
    """The values of one environment, and what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[Problem] = []
        known = {PREFIX + variable.name: variable for variable in VARIABLES}
        self._variables = known
        for name in sorted(environment):
            if name.startswith(PREFIX) and name not in known:
                self.wrong(name, "no such variable", "remove it, or correct its name")

    def wrong(self, name: str, reason: str, fix: str) -> None:
        # The value of an unknown name may be a secret.
        known = name in self._variables
        value = without_password(self.text(name)) if known else "(not shown)"
        self.problems.append(Problem(name, value, reason, fix))

    def text(self, name: str) -> str:
        return self._environment.get(name, str(self._variables[name].default))

    def number(self, name: str) -> float:
        """Return the number, or the default if it is wrong."""
        variable, text = self._variables[name], self.text(name)
        is_whole = isinstance(variable.default, int)
        try:
            number: float = int(text) if is_whole else float(text)
        except ValueError:
            word = "a whole number" if is_whole else "a number"
            self.wrong(name, f"is not {word}", "unset it or give one")
            return float(variable.default)
        if not variable.least <= number <= variable.most:
            within = f"between {variable.least:g} and {variable.most:g}"
            self.wrong(name, "is out of range", f"give a number {within}")
        return number

    def sink(self) -> Address | None:
        name = f"{PREFIX}SINK"
        try:
            return parse(self.text(name))
        except AddressError as error:
            self.wrong(name, error.reason, error.fix)
            return None

    def folder(self) -> Path:
        """Return the folder of the log after a file in it was made and deleted."""
        name = f"{PREFIX}FOLDER"
        folder = Path(self.text(name))
        probe = folder / ".log-shipper"
        try:
            probe.touch()
            probe.unlink()
        except (OSError, ValueError) as error:
            reason = f"cannot be written: {error}"
            fix = "mount the model server's log folder there, writable for this user"
            self.wrong(name, reason, fix)
        return folder

    def file(self, name: str) -> Path | None:
        """Return a file that can be read, or None if none is set."""
        text = self.text(name)
        if not text:
            return None
        try:
            Path(text).read_bytes()
        except (OSError, ValueError) as error:
            fix = "mount the file there, readable for this user, or unset it"
            self.wrong(name, f"cannot be read: {error}", fix)
        return Path(text)


def read(environment: Mapping[str, str]) -> Settings:
    """Parse the environment; raise SettingsError with every problem found."""
    values = _Reading(environment)
    sink, folder = values.sink(), values.folder()
    token, ca = values.file(f"{PREFIX}TOKEN_FILE"), values.file(f"{PREFIX}CA_FILE")
    numbers = {
        variable.name.lower(): values.number(PREFIX + variable.name)
        for variable in VARIABLES
        if not isinstance(variable.default, str)
    }
    if sink is not None:
        _check_together(values, sink, folder)
    first, most = numbers["retry_seconds"], numbers["retry_max_seconds"]
    if first > most:
        values.wrong(
            f"{PREFIX}RETRY_SECONDS",
            f"is more than {PREFIX}RETRY_MAX_SECONDS={most:g}",
            "lower the first or raise the second",
        )
    if not values.text(f"{PREFIX}HOST"):
        values.wrong(f"{PREFIX}HOST", "is empty", "unset it to listen everywhere")
    if values.problems or sink is None:
        raise SettingsError(values.problems)
    return Settings(
        folder=folder,
        sink=sink,
        token_file=token,
        ca_file=ca,
        poll_seconds=numbers["poll_seconds"],
        timeout_seconds=numbers["timeout_seconds"],
        retry_seconds=first,
        retry_max_seconds=most,
        drain_seconds=numbers["drain_seconds"],
        refused_bytes=int(numbers["refused_bytes"]),
        host=values.text(f"{PREFIX}HOST"),
        port=int(numbers["port"]),
    )


def _check_together(values: _Reading, sink: Address, folder: Path) -> None:
    """Add what is wrong between variables that are right each by itself."""
    is_http = isinstance(sink, HttpAddress)
    for name, used in (
        ("TOKEN_FILE", is_http),
        ("CA_FILE", isinstance(sink, HttpAddress) and sink.secure),
    ):
        if values.text(PREFIX + name) and not used:
            values.wrong(PREFIX + name, "is not used by this sink", "unset it")
    if isinstance(sink, FolderAddress) and sink.path == folder:
        values.wrong(
            f"{PREFIX}SINK",
            f"is the folder of the log itself, {PREFIX}FOLDER",
            "give the folder of a volume that the monitor reads",
        )

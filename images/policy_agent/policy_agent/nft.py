"""The kernel's side: the table applied, looked at, removed, always by `nft`."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from policy_agent.nft_text import TABLE, Table, refused_set

TIMEOUT_SECONDS = 20.0


class NftError(Exception):
    """`nft` refused; its own words."""


@dataclass(frozen=True)
class Refused:
    """A connection that was refused within the last minute."""

    source: str
    destination: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Nft:
    """The tables of the network namespace that this process runs in."""

    program: tuple[str, ...] = ("nft",)

    def apply(self, table: Table) -> None:
        """Apply all of it at once or, with NftError, nothing."""
        self._run("-f", "-", text=table.text)

    def refused(self, mark: str, *, version: int = 4) -> list[Refused] | None:
        """Connections refused recently; None if this table no longer exists."""
        name = refused_set(mark, version)
        try:
            shown = self._run("-j", "list", "set", "inet", TABLE, name)
        except NftError as error:
            if "No such file or directory" in str(error):
                return None
            raise
        (found,) = [
            entry["set"] for entry in json.loads(shown)["nftables"] if "set" in entry
        ]
        elements = [entry["elem"]["val"]["concat"] for entry in found.get("elem", [])]
        return [Refused(s, d, _protocol(p), int(n)) for s, d, p, n in elements]

    def remove(self) -> None:
        """Enforces nothing any more; no error if nothing was enforced."""
        text = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
        self._run("-f", "-", text=text)

    def _run(self, *words: str, text: str = "") -> str:
        try:
            done = subprocess.run(
                [*self.program, *words],
                input=text,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NftError(str(error)) from error
        if done.returncode:
            raise NftError(done.stderr.strip()[:2000])
        return done.stdout


def _protocol(value: object) -> str:
    """Return the protocol's name; nft prints a number if it knows none."""
    numbers = {6: "TCP", 17: "UDP", 132: "SCTP"}
    return (
        numbers.get(value, str(value).upper())
        if isinstance(value, int)
        else (str(value).upper())
    )

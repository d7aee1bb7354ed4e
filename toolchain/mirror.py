"""The Debian mirrors that this machine's own apt uses; the lab takes the same ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolchain import commands
from toolchain.errors import OperatorError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_BY_STATE = {"stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"}
SUITES = _BY_STATE | {"buster", "bullseye", "bookworm", "trixie", "forky", "duke"}
"""Debian's. Others, such as Ubuntu, have archives of the same form."""
_RELEASE = re.compile(r"'(?P<base>[^']+?)/dists/(?P<suite>[^']+)/InRelease'")


@dataclass(frozen=True)
class DebianMirror:
    """Addresses of a Debian archive and of its security archive."""

    main: str
    security: str

    @classmethod
    def of_this_machine(cls) -> DebianMirror:
        """The mirrors in the machine's apt configuration, whatever its format."""
        return cls.parse(
            commands.run(
                ["apt-get", "--option", "Debug::NoLocking=1", "--print-uris", "update"]
            )
        )

    @classmethod
    def parse(cls, uris: str) -> DebianMirror:
        """Picks the mirrors out of the lines of `apt-get --print-uris update`."""
        every = [(m["suite"], m["base"]) for m in _RELEASE.finditer(uris)]
        found = [it for it in every if it[0].partition("-")[0] in SUITES]
        security = {
            suite.removesuffix("-security"): base
            for suite, base in found
            if suite.endswith("-security")
        }
        # Other archives than Debian's own have no security suite of the same name.
        main = [base for suite, base in found if suite in security]
        main = main or [base for _, base in found if base.endswith("/debian")]
        if not main:
            raise OperatorError(
                "no Debian archive in this machine's apt configuration; the lab takes "
                "its hosts' packages from there: add one to /etc/apt/sources.list"
            )
        return cls(main=main[0], security=next(iter(security.values()), ""))

    def sources(self, suite: str) -> str:
        """Lines of a sources.list for a suite such as `trixie`."""
        option = f"[signed-by={KEYRING}]"
        lines = [f"deb {option} {self.main} {suite} main"]
        if self.security:
            lines.append(f"deb {option} {self.security} {suite}-security main")
        return "\n".join(lines) + "\n"

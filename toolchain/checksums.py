"""Compares the committed go.sum files with Go's public checksum database.

A build trusts go.sum for each module. This command asks the database whether it has the
same: for whoever raises a version. https://go.dev/ref/mod#checksum-database

    python -m toolchain.checksums
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from toolchain import builds, go

AT_ONCE = 8
TIMEOUT_SECONDS = 20.0

Module = tuple[str, str]
"""Path and version."""


def pinned(folder: Path) -> dict[Module, set[str]]:
    """The lines of all go.sum files below a folder, by module."""
    found: dict[Module, set[str]] = defaultdict(set)
    for file in sorted(folder.glob("*/go.sum")):
        for line in file.read_text().splitlines():
            path, version, _ = line.split()
            found[path, version.removesuffix("/go.mod")].add(line)
    return dict(found)


def database() -> str:
    """Return the database's address: through the first Go proxy, as Go does it."""
    shown = json.loads(go.run(["env", "-json", "GOPROXY", "GOSUMDB"], Path.cwd()))
    key, _, url = shown["GOSUMDB"].partition(" ")
    if url:
        return str(url).strip().rstrip("/")
    name = key.partition("+")[0]
    proxy = re.split(r"[,|]", shown["GOPROXY"])[0].rstrip("/")
    if name == "off" or proxy in ("direct", "off", ""):
        raise go.BuildError(
            f"no checksum database can be asked: GOSUMDB={shown['GOSUMDB']}, "
            f"GOPROXY={shown['GOPROXY']}"
        )
    return f"{proxy}/sumdb/{name}"


def _escaped(text: str) -> str:
    """Escape capital letters as Go's protocols do."""
    return re.sub("[A-Z]", lambda match: "!" + match[0].lower(), text)


def compare(at: str, modules: dict[Module, set[str]]) -> dict[Module, str]:
    """Return errors by module; empty if the database has each line."""
    with httpx.Client(timeout=TIMEOUT_SECONDS) as client:

        def ask(module: Module) -> str:
            url = f"{at}/lookup/{_escaped(module[0])}@{_escaped(module[1])}"
            try:
                answer = client.get(url)
            except httpx.HTTPError as error:
                return f"no answer: {error}"
            if answer.status_code != httpx.codes.OK:
                return f"no entry ({answer.status_code})"
            other = modules[module] - set(answer.text.splitlines())
            return f"the database has not: {', '.join(sorted(other))}" if other else ""

        with ThreadPoolExecutor(AT_ONCE) as threads:
            said = threads.map(ask, modules)
            return {
                module: text for module, text in zip(modules, said, strict=True) if text
            }


def _print(wrong: Iterable[tuple[Module, str]]) -> None:
    for (path, version), text in wrong:
        print(f"{path} {version}: {text}", file=sys.stderr)


def main() -> int:
    modules = pinned(builds.SOURCES)
    try:
        wrong = compare(database(), modules)
    except go.BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print(wrong.items())
    print(f"{len(modules)} module versions, {len(modules) - len(wrong)} as in go.sum")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

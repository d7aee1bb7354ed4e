"""Known vulnerabilities of what is in an image, from a database with OSV's API.

https://google.github.io/osv.dev/api/. Debian's packages are queried by their source and
release, as Debian's security tracker knows them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from packageurl import PackageURL

from slipway import sbom
from slipway.images import dpkg
from toolchain.errors import WRONG, OperatorError

DATABASE_VARIABLE = "SLIPWAY_VULNERABILITIES"
DATABASE = "https://api.osv.dev"
AT_ONCE = 500
"""Packages in one question; the API takes 1,000."""
TIMEOUT_SECONDS = 30.0
RELEASES = {"bookworm": "Debian:12", "trixie": "Debian:13"}
PAGES = 20


class NoDatabaseError(OperatorError):
    """The database cannot be asked, so nothing was scanned.

    Another exit status than that of packages with vulnerabilities.
    """

    exit_status: int = WRONG


@dataclass(frozen=True)
class Affected:
    """A package with vulnerabilities that are known."""

    name: str
    version: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Scan:
    """Findings, and the numbers of scanned and skipped packages."""

    affected: list[Affected]
    asked: int
    not_asked: int
    """Parts that no such database knows: models, files, programs of this project."""


def database() -> str:
    """Address of the database."""
    return os.environ.get(DATABASE_VARIABLE, "") or DATABASE


def scan(document: str, address: str) -> Scan:
    """Asks about each part of a bill of materials. Raises NoDatabaseError."""
    parts = sbom.parts(document)
    asked = [(part, query) for part in parts if (query := _query(part))]
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=True) as client:
        found: list[tuple[str, ...]] = []
        for start in range(0, len(asked), AT_ONCE):
            queries = [query for _, query in asked[start : start + AT_ONCE]]
            found += _answers(client, address.rstrip("/"), queries)
    affected = [
        Affected(part["name"], part.get("version", ""), ids)
        for (part, _), ids in zip(asked, found, strict=True)
        if ids
    ]
    return Scan(affected, len(asked), len(parts) - len(asked))


def _query(part: dict[str, Any]) -> dict[str, Any]:
    """The question about a part; empty if no database knows such things."""
    if "purl" not in part:
        return {}
    url = PackageURL.from_string(part["purl"])
    if url.type == "pypi":
        return _package("PyPI", url.name, url.version)
    if url.type == "golang":
        name = f"{url.namespace}/{url.name}" if url.namespace else url.name
        return _package("Go", name, (url.version or "").removeprefix("v"))
    if url.type == "maven":
        return _package("Maven", f"{url.namespace}:{url.name}", url.version)
    if url.type == "deb":
        said = {it["name"]: it["value"] for it in part.get("properties", [])}
        release = RELEASES.get(said.get(f"{sbom.PREFIX}{dpkg.SUITE}", ""), "")
        source = said.get(f"{sbom.PREFIX}{dpkg.SOURCE}", url.name)
        version = said.get(f"{sbom.PREFIX}{dpkg.SOURCE_VERSION}", url.version)
        return _package(release, source, version) if release else {}
    return {}


def _package(ecosystem: str, name: str, version: str | None) -> dict[str, Any]:
    return {"package": {"ecosystem": ecosystem, "name": name}, "version": version}


def _answers(
    client: httpx.Client, address: str, queries: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, ...]]:
    """Ids of vulnerabilities for each question, with all pages of each."""
    ids: list[list[str]] = [[] for _ in queries]
    open_questions = dict(enumerate(queries))
    for _ in range(PAGES):
        if not open_questions:
            break
        results = _ask(client, address, list(open_questions.values()))
        left = {}
        for (number, query), result in zip(
            open_questions.items(), results, strict=True
        ):
            ids[number] += [it["id"] for it in result.get("vulns", [])]
            if token := result.get("next_page_token"):
                left[number] = {**query, "page_token": token}
        open_questions = left
    yield from (tuple(sorted(set(found))) for found in ids)


def _ask(
    client: httpx.Client, address: str, queries: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    try:
        answer = client.post(f"{address}/v1/querybatch", json={"queries": queries})
        answer.raise_for_status()
        results: list[dict[str, Any]] = answer.json()["results"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise NoDatabaseError(
            f"{address} cannot be asked about vulnerabilities "
            f"({error or type(error).__name__}); nothing was scanned. Name a database "
            f"with OSV's API that this machine reaches by --database or "
            f"{DATABASE_VARIABLE}"
        ) from error
    if len(results) != len(queries):
        raise NoDatabaseError(
            f"{address} answered {len(results)} of {len(queries)} questions; nothing "
            "is known about the rest"
        )
    return results

"""Jars of Maven's repositories, checked by digest.

Maven itself fetches them, so its settings hold: mirrors, proxies, credentials. Only the
jars that are named come, without what they depend on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from slipway.images.errors import ImageError
from toolchain import commands, paths, whole_files
from toolchain.digests import sha256_of
from toolchain.errors import OperatorError
from toolchain.locks import locked

FETCH_SECONDS = 540.0
PLUGIN = ("org.apache.maven.plugins", "maven-dependency-plugin", "3.9.0")


class Pin(NamedTuple):
    """A jar: `group:artifact:version`."""

    group: str
    artifact: str
    version: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.artifact}-{self.version}.jar"


def pin(text: str) -> Pin:
    """Parses a pin; ImageError if it is none."""
    words = text.split(":")
    if len(words) != len(Pin._fields) or not all(words):
        raise ImageError(f"{text}: not the pin of a jar, group:artifact:version")
    return Pin(*words)


def key(sha256: Mapping[str, str]) -> str:
    """Digest of the pins and of their digests."""
    words = json.dumps(sha256, sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()


def obstacle() -> str:
    """Why this machine cannot fetch jars; empty if nothing is known to stop it."""
    if shutil.which("mvn"):
        return ""
    return "mvn is not on PATH; install Maven, which fetches jars"


def fetch(sha256: Mapping[str, str]) -> Path:
    """A folder with the jars of these pins, in the cache. Raises ImageError."""
    folder = paths.cache() / "jars" / key(sha256)[:16]
    if folder.is_dir():
        return folder
    if reason := obstacle():
        raise ImageError(reason)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / "lock"):
        # Another process may have fetched them meanwhile, and use them.
        if folder.is_dir():
            return folder
        with whole_files.made(folder) as part:
            part.mkdir()
            _copy([pin(text) for text in sha256], part)
            for text, digest in sha256.items():
                _check(part / pin(text).file, text, digest)
    return folder


def _copy(pins: list[Pin], folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-jars-") as work:
        project = Path(work) / "pom.xml"
        project.write_text(_project(pins, folder))
        command = ["mvn", "--batch-mode", "--quiet", "--update-snapshots"]
        command += ["--file", str(project), "dependency:copy"]
        try:
            commands.run(command, timeout_seconds=FETCH_SECONDS)
        except OperatorError as error:
            names = ", ".join(one.artifact for one in pins)
            raise ImageError(f"Maven could not fetch {names}: {error}") from error


def _check(file: Path, text: str, digest: str) -> None:
    found = sha256_of(file)
    if found != digest:
        raise ImageError(
            f"{text} has sha256 {found}, but images.toml has {digest}; the repository "
            "cannot be trusted"
        )


def _project(pins: list[Pin], folder: Path) -> str:
    """A project that only copies jars.

    https://maven.apache.org/plugins/maven-dependency-plugin/copy-mojo.html
    """
    project = ET.Element("project", xmlns="http://maven.apache.org/POM/4.0.0")
    _add(project, modelVersion="4.0.0", packaging="pom")
    _named(project, ("slipway", "jars", "1"))
    plugin = _below(project, "build", "plugins", "plugin")
    _named(plugin, PLUGIN)
    configuration = _below(plugin, "configuration")
    _add(configuration, outputDirectory=str(folder))
    items = _below(configuration, "artifactItems")
    for one in pins:
        _named(_below(items, "artifactItem"), one)
    return ET.tostring(project, encoding="unicode")


def _below(element: ET.Element, *names: str) -> ET.Element:
    for name in names:
        element = ET.SubElement(element, name)
    return element


def _named(element: ET.Element, pin: tuple[str, str, str]) -> None:
    group, artifact, version = pin
    _add(element, groupId=group, artifactId=artifact, version=version)


def _add(element: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(element, name).text = text

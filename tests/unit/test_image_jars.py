"""Jars of images: fetched by Maven at once, checked, listed, and asked about."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from slipway.images import ImageError, feasible, jars, vulnerabilities
from slipway.images.builders import BUILDERS
from slipway.images.builds import Means
from slipway.images.inputs import Jars, parse
from slipway.images.table import images
from slipway.sbom import document

TEXTS = {"org.example:one:1.0": "one", "org.example.two:two:2.1": "two"}
PINS = {pin: hashlib.sha256(text.encode()).hexdigest() for pin, text in TEXTS.items()}
MAVEN = f"""#!{sys.executable} -I
import pathlib, sys, xml.etree.ElementTree as tree
space = "{{http://maven.apache.org/POM/4.0.0}}"
assert sys.argv[-1] == "dependency:copy", sys.argv
root = tree.parse(sys.argv[sys.argv.index("--file") + 1]).getroot()
target = pathlib.Path(root.find(f".//{{space}}outputDirectory").text)
for item in root.iter(f"{{space}}artifactItem"):
    name, version = (item.find(space + it).text for it in ("artifactId", "version"))
    if name == "gone":
        sys.exit("Could not find artifact")
    (target / f"{{name}}-{{version}}.jar").write_text(name)
with open({{calls!r}}, "a") as calls:
    calls.write("called\\n")
"""


@pytest.fixture(autouse=True)
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maven whose jars contain their names; the file has a line for each call."""
    found = tmp_path / "calls"
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(MAVEN.replace("{calls!r}", repr(str(found))))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def test_all_jars_of_an_image_come_by_one_call(calls: Path) -> None:
    folder = jars.fetch(PINS)
    assert {it.name for it in folder.iterdir()} == {"one-1.0.jar", "two-2.1.jar"}
    assert (folder / "two-2.1.jar").read_text() == "two"
    assert jars.fetch(PINS) == folder
    assert calls.read_text() == "called\n"


def test_a_jar_with_another_content_is_not_kept() -> None:
    wrong = {**PINS, "org.example:one:1.0": "0" * 64}
    with pytest.raises(ImageError, match=r"org\.example:one:1\.0 has sha256 .*0000"):
        jars.fetch(wrong)
    assert not list(jars.fetch(PINS).parent.glob(f"{jars.key(wrong)[:16]}*"))


def test_what_maven_says_is_told() -> None:
    with pytest.raises(ImageError, match=r"(?s)fetch gone.*Could not find artifact"):
        jars.fetch({"org.example:gone:1.0": "0" * 64})


def test_a_pin_has_three_words() -> None:
    for text in ("org.example:one", "org.example::1.0", "a:b:c:d"):
        with pytest.raises(ImageError, match="group:artifact:version"):
            jars.pin(text)


def test_an_image_with_jars_needs_maven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ImageError, match="hdfs: mvn is not on PATH"):
        feasible.check([images()["hdfs"]], Means(BUILDERS["docker"]))
    with pytest.raises(ImageError, match="mvn is not on PATH"):
        jars.fetch(PINS)


def test_jars_are_listed_with_their_digests() -> None:
    source = parse("images.hdfs.inputs.jars", {"jars": PINS})
    assert isinstance(source, Jars)
    one, two = source.parts()
    assert (one.name, one.version, one.sha256) == ("one", "1.0", PINS[next(iter(PINS))])
    assert two.purl == "pkg:maven/org.example.two/two@2.1"
    other = Jars({**PINS, "org.example:one:1.0": "0" * 64})
    assert source.identity() != other.identity()


def test_a_database_knows_jars_by_group_and_artifact() -> None:
    (one,) = Jars({"org.example:one:1.0": "0" * 64}).parts()
    assert vulnerabilities._query({"purl": one.purl}) == {
        "package": {"ecosystem": "Maven", "name": "org.example:one"},
        "version": "1.0",
    }
    assert one.purl in document(one, [one])

"""`slipway check`: exit status, formats and places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from slipway import code_hosts
from slipway.cli import cli
from slipway.code_hosts import Annotation
from slipway.policy import places
from slipway.policy.objects import Judged
from stacks import files
from tests.support.compared import checkout, put
from toolchain import paths

STACK = "models.dev"
FILE = "stacks/config/Pulumi.models.dev.yaml"
RULE = "routes-have-access"
"""What models.dev does not keep, were it in production."""


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["check", *words])


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each format's text for a stack with one error."""
    found = {}
    for form in ("json", "sarif", "github", "gitlab"):
        out = tmp_path_factory.mktemp(form) / "out"
        done = run(STACK, "--production", "--format", form, "--out", str(out))
        assert done.exit_code == 1, done.output
        found[form] = out.read_text()
        found["text"] = done.output
    return found


def test_a_stack_that_keeps_the_rules_ends_with_0() -> None:
    done = run(STACK, "--strict")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{STACK} (not production): 0 errors, 0 warnings")


def test_people_are_given_what_why_and_how(refused: dict[str, str]) -> None:
    text = refused["text"]
    assert text.startswith(f"{STACK} (production): 1 error, 0 warnings, 0 waived; ")
    assert f"  error {RULE}: Everybody who reaches the gateway" in text
    assert "    HTTPRoute/models/employment: no SecurityPolicy is about it" in text
    assert "    why: Requests cost" in text
    assert "    fix: Give the model `access`" in text


def test_programs_get_the_same(refused: dict[str, str]) -> None:
    (stack,) = json.loads(refused["json"])["stacks"]
    (finding,) = stack["findings"]
    assert stack["errors"] == 1
    assert (finding["rule"], finding["level"]) == (RULE, "error")
    assert finding["file"] == FILE


def test_sarif_has_the_rule_and_its_place(refused: dict[str, str]) -> None:
    log = json.loads(refused["sarif"])
    (only,) = log["runs"]
    (result,) = only["results"]
    listed = only["tool"]["driver"]["rules"]
    assert log["version"] == "2.1.0"
    assert listed[result["ruleIndex"]]["id"] == result["ruleId"] == RULE
    assert len(listed) >= 40
    (location,) = result["locations"]
    place = location["physicalLocation"]
    assert place["artifactLocation"]["uri"] == FILE
    line = Path(FILE).read_text().splitlines()[place["region"]["startLine"] - 1]
    assert line.strip() == "employment:"


def test_code_hosts_get_annotations(refused: dict[str, str]) -> None:
    assert refused["github"].startswith(f"::error file={FILE},line=")
    assert refused["github"].count("\n") == 1
    (issue,) = json.loads(refused["gitlab"])
    assert issue["location"]["path"] == FILE
    assert issue["check_name"] == RULE
    assert issue["severity"] == "major"


def test_a_finding_ends_no_command_of_github() -> None:
    hostile = Annotation("r", "error", "a\n::set-env::%", "a,b:c", 1, "s")
    (line,) = code_hosts.github([hostile]).splitlines()
    assert line == "::error file=a%2Cb%3Ac,line=1,title=r::a%0A::set-env::%25"


def test_a_fingerprint_is_the_same_on_another_line() -> None:
    one, two = (Annotation("r", "error", "t", "f", line, "s") for line in (1, 2))
    other = Annotation("r", "error", "t", "f", 1, "another")
    assert one.fingerprint == two.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("name", "labels", "wanted"),
    [
        ("HTTPRoute/models/any", {places.INSTANCE: "employment"}, "employment:"),
        ("aws:x/y:Bucket/storage-predictions", {}, "slipway:storage:"),
        ("aws:x/y:NodeGroup/pool-system", {}, "system:"),
        ("Thing/unknown", {}, ""),
    ],
)
def test_a_finding_is_at_the_nearest_setting(
    name: str, labels: dict[str, str], wanted: str
) -> None:
    stack = "models.dev" if "models" in name else "cluster.dev"
    lines = places.Lines(stack)
    number = lines.of(Judged(name.partition("/")[0], name, {}, labels=labels))
    line = Path(lines.file).read_text().splitlines()[number - 1].strip()
    assert line == wanted if wanted else number == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "give a STACK, or --all"), (("nothing.dev",), "is not a stack")],
)
def test_a_wrong_command_line_ends_with_2(words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_an_images_lock_is_judged_by_its_registries(
    tmp_path: Path, monkeypatch: Any
) -> None:
    lock = tmp_path / "images.lock"
    lock.write_text(json.dumps({"employment": "nowhere"}))
    done = run(STACK, "--images", str(lock))
    assert done.exit_code == 2
    assert "model-server" in done.output


@pytest.mark.parametrize(
    "text",
    [b"rules: [a]", b"[1]", b"\xfc", b"a: [", b"variables: {a: 'nope('}"],
)
def test_rules_that_are_none_end_with_2(
    text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/own.yaml").write_bytes(text)
    monkeypatch.setattr(paths, "PROJECT", tmp_path)
    done = run(STACK)
    assert done.exit_code == 2, done.output
    assert done.output.startswith("error: policies: ")


def test_a_terraform_state_is_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be in a bucket, and a check needs no account."""
    of_terraform = {"terraform": {"path": "no-such.tfstate"}}
    checkout(tmp_path / "mine", STACK, put("cluster", value=of_terraform))
    monkeypatch.setattr(files, "ROOT", tmp_path / "mine")
    done = run(STACK)
    assert done.exit_code == 0, done.output

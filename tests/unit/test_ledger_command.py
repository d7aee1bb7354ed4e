"""`slipway ledger`: what it records, refuses, prints and finds."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import yaml
from botocore.config import Config
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from model_monitor.audit import verify

from slipway.cli import cli
from slipway.ledger import bucket, keys
from slipway.ledger.options import default_ledger
from tests.support import ledgers

IMAGE = f"registry.example.com/employment@sha256:{'a' * 64}"
WHY = ("--why", "tests are green", "--by", "alice")


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def key(state: Path) -> Path:
    assert ledger("key").exit_code == 0
    return keys.default_key()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder."""
    folder = tmp_path / "employment"
    folder.mkdir()
    graph = b"the graph"
    (folder / "model.onnx").write_bytes(graph)
    digests = {"model.onnx": f"sha256:{hashlib.sha256(graph).hexdigest()}"}
    content = {"name": "employment", "revision": "r1", "digests": digests}
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    return folder


def ledger(*words: object) -> Result:
    return CliRunner().invoke(cli, ["ledger", *map(str, words)])


def done(*words: object) -> str:
    result = ledger(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: object, status: int = 2) -> str:
    result = ledger(*words)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    return result.stderr


def test_a_revisions_life(key: Path, folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text("<passed/>")
    said = done(
        *("register", "employment", "--folder", folder, "--image", IMAGE),
        *("--commit", "b" * 40, "--parent", "r0", "--by", "ci"),
    )
    assert re.fullmatch(r"employment r1: registered, entry 1:[0-9a-f]{64}\n", said)
    stage = ("stage", "employment", "r1", *WHY, "--evidence", report)
    assert ": staged, entry 2:" in done(*stage, "--approved-by", "bob")
    assert ": already staged, entry 2:" in done(*stage)
    assert ": canary, entry 3:" in done("move", "employment", "r1", "canary", *WHY)
    assert ": serving, entry 4:" in done("move", "employment", "r1", "serving", *WHY)
    assert ": already serving, entry 4:" in done(*stage)
    assert ": retired, entry 5:" in done("retire", "employment", "r1", *WHY)
    lines = [
        it.split(maxsplit=2)[2] for it in done("history", "employment").split("\n")[:-1]
    ]
    assert lines == [
        "r1 revision_registered by ci",
        "r1 revision_staged by alice: tests are green",
        "r1 canary_started by alice: tests are green",
        "r1 serving_started by alice: tests are green",
        "r1 revision_retired by alice: tests are green",
    ]
    first, second = (
        ledgers.entry(ledgers.file(default_ledger() / "employment", n)) for n in (1, 2)
    )
    subject = first.details["subject"]
    assert [it["path"] for it in subject["files"]] == ["model.onnx", "model.yaml"]
    assert subject["commit"] == "b" * 40
    assert subject["parent"] == "r0"
    assert second.details["approvals"] == ["bob"]
    sha256 = hashlib.sha256(b"<passed/>").hexdigest()
    assert second.details["evidence"] == [{"name": "report.xml", "sha256": sha256}]


def test_the_printed_chain_is_an_audit_chain(key: Path, tmp_path: Path) -> None:
    done("register", "m", "--revision", "r1", "--image", IMAGE, "--why", "ü")
    done("stage", "m", "r1", *WHY)
    printed = tmp_path / "chain.jsonl"
    printed.write_text(done("history", "m", "--json"))
    assert verify(printed).is_intact
    assert verify(printed).entries == 2


def test_the_default_actor_is_the_user(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "carol")
    done("register", "m", "--revision", "r1", "--image", IMAGE)
    assert "by carol@" in done("history", "m")


def test_all_that_is_wrong_is_said_together(key: Path, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"another graph")
    said = refused(
        *("register", "income", "--folder", folder, "--revision", "r2"),
        *("--image", "employment:1", "--commit", "main"),
    )
    there, listed = (
        hashlib.sha256(it).hexdigest() for it in (b"another graph", b"the graph")
    )
    path = folder / "model.yaml"
    assert said == (
        "error: income: nothing was registered:\n"
        "  --image: 'employment:1' has no digest, and a tag can be moved; give "
        "NAME@sha256:... of what was pushed\n"
        "  --commit: 'main' is not a commit's full hash; `git rev-parse`\n"
        f"  {path}: name is 'employment', and 'income' was asked for; give the folder "
        "of that one\n"
        f"  {path}: revision is 'r1', and 'r2' was asked for; give the folder of that "
        "one\n"
        f"  model.onnx: its sha256 is {there}, model.yaml says {listed}; copy the "
        "folder again\n"
    )
    said = refused("register", "income")
    assert "  --folder, --image: give one of them" in said
    assert "  --revision: '' is not a revision" in said
    assert not default_ledger().exists()


def test_wrong_words(key: Path) -> None:
    done("register", "m", "--revision", "r1", "--image", IMAGE)
    for words, said in (
        (("stage", "m", "r1"), "Missing option '--why'"),
        (("stage", "m", "r1", "--why", " "), "there is no reason; say it with --why"),
        (("stage", "m", "r2", *WHY), "has no revision r2 in the ledger (it has: r1)"),
        (("move", "m", "r1", "canary", *WHY), "stage it first: `slipway ledger stage`"),
        (("move", "m", "r1", "gone", *WHY), "'gone' is not one of"),
        (("register", "../m", "--image", IMAGE), "'../m' is not a model's name"),
        (("verify", "--anchor", "3"), "'3' is not NUMBER:HASH"),
        (("verify", "a", "b", "--anchor", f"3:{'0' * 64}"), "of one model: name it"),
    ):
        assert said in refused(*words)
    assert "there are no entries of gone; give the right" in (
        refused("history", "gone", status=1)
    )


def test_verification_names_the_first_broken_entry(key: Path) -> None:
    done("register", "a", "--revision", "r1", "--image", IMAGE)
    done("register", "b", "--revision", "r1", "--image", IMAGE)
    done("stage", "b", "r1", *WHY)
    said = done("verify").splitlines()
    assert [it.partition(";")[0] for it in said] == [
        "a: 1 entries, intact",
        "b: 2 entries, intact",
    ]
    anchor = said[1].split()[-1]
    assert done("verify", "b", "--anchor", anchor).startswith("b: 2 entries")
    last = ledgers.file(default_ledger() / "b", 2)
    content = last.read_bytes()
    last.unlink()
    assert "b: 1 entries, intact" in done("verify", "b")
    cut = refused("verify", "b", "--anchor", anchor, status=1)
    assert f"error: {last}: anchor: the chain ends before entry 2" in cut
    ledgers.rewrite(last, content.replace(b"payload", b"Payload", 1))
    result = ledger("verify")
    assert result.exit_code == 1
    assert result.stdout.startswith("a: 1 entries, intact")
    assert result.stderr.splitlines() == [
        f"error: {last}: form: the file is not a DSSE envelope in canonical JSON",
        "b: 1 entries before it are intact",
    ]
    shown = ledger("history", "b")
    assert shown.exit_code == 1
    assert "revision_registered" in shown.stdout
    assert f"error: {last}: form:" in shown.stderr
    assert f"{last}: form: " in refused("stage", "b", "r1", *WHY, status=1)


def test_a_ledger_that_is_gone_is_not_intact(key: Path) -> None:
    assert "there are no entries of any model" in refused("verify", status=1)
    assert "there are no entries of b" in refused("verify", "b", status=1)
    anchored = refused("verify", "b", "--anchor", f"2:{'0' * 64}", status=1)
    assert "00000001.json: anchor: the chain ends before entry 2" in anchored


def test_whom_to_trust(key: Path, tmp_path: Path) -> None:
    other = tmp_path / "ci.pem"
    done("key", "--out", other)
    done("register", "m", "--revision", "r1", "--image", IMAGE, "--key", other)
    done("stage", "m", "r1", *WHY)
    assert "00000001.json: key: it is signed with the key" in (
        refused("verify", status=1)
    )
    mine, theirs = keys.public_file(key), keys.public_file(other)
    assert "00000002.json: key: " in refused("verify", "--trust", theirs, status=1)
    assert "intact" in done("verify", "--trust", theirs, "--trust", mine)


def test_keys_are_kept_from_others_and_never_replaced(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    content = key.read_bytes()
    assert f"{key}: exists already; give another file" in refused("key")
    assert key.read_bytes() == content
    other = key.with_name("other.pem")
    keys.public_file(other).write_bytes(b"of another key")
    assert "other.pub.pem: exists already" in refused("key", "--out", other)
    assert not other.exists()
    below_a_file = refused("key", "--out", key / "k.pem")
    assert f"{key}/k.pem: " in below_a_file
    key.chmod(0o640)
    words = ("register", "m", "--revision", "r1", "--image", IMAGE)
    assert f"mode 0640 lets others read the key; run chmod 600 {key}" in (
        refused(*words)
    )


def test_the_history_says_what_a_revision_was_made_from(
    key: Path, folder: Path
) -> None:
    content = yaml.safe_load((folder / "model.yaml").read_text())
    content["derived_from"] = {"revision": "r0", "recipe": "tree_masks", "checks": []}
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    done("register", "employment", "--folder", folder, *WHY)
    shown = done("history", "employment")
    assert (
        "revision_registered by alice, made from r0 by tree_masks: tests are" in shown
    )
    assert "1 entries, intact" in done("verify", "employment")


def test_keys_that_are_none(key: Path, tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "p.pem", tmp_path / "p.pub.pem"
    pem = Encoding.PEM
    private.touch(0o600)
    private.write_bytes(other.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(
        other.public_key().public_bytes(pem, PublicFormat.SubjectPublicKeyInfo)
    )
    words = ("register", "m", "--revision", "r1", "--image", IMAGE, "--key")
    assert "is not a private ed25519 key" in refused(*words, private)
    assert "No such file or directory; make one with" in (
        refused(*words, tmp_path / "none.pem")
    )
    assert "is not a public ed25519 key" in refused("verify", "--trust", public)
    assert "is not a public ed25519 key" in refused("verify", "--trust", key)


def test_a_bucket_that_cannot_be_reached(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setattr(bucket, "CLIENT", Config(retries={"total_max_attempts": 1}))
    said = refused("history", "m", "--ledger", "s3://ledgers/a", status=1)
    assert "s3://ledgers/a/: ListObjectVersions failed (Could not connect" in said
    said = refused("history", "m", "--ledger", "s3://L")
    assert "'s3://L' is not s3://BUCKET/PREFIX" in said
    monkeypatch.setenv("AWS_PROFILE", "none")
    said = refused("history", "m", "--ledger", "s3://ledgers")
    assert "correct your AWS settings" in said


def test_an_entry_cannot_take_the_terminal_over(key: Path) -> None:
    planted = "x\x1b[2J\nemployment: 9 entries, intact"
    done("register", "m", "--revision", "r1", "--image", IMAGE, "--why", planted)
    shown = done("history", "m")
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 1

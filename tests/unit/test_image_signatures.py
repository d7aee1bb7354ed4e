"""Signatures and attestations beside images: what is stored, who is believed."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from components.images import LOADED, LOCK_VARIABLE
from slipway import sbom
from slipway.images import ImageError, attest, cli, provenance, records, signatures
from slipway.images.builders import BUILDAH
from slipway.images.builds import OF_THE_LAB
from slipway.images.errors import silent
from slipway.images.records import Record
from slipway.images.registry import Registry
from slipway.images.repository import Repository
from slipway.images.table import images
from slipway.ledger import keys
from slipway.ledger.keys import key_id
from tests.support.fake_registry import FakeRegistry, serving
from toolchain import paths

DIGEST = "sha256:" + "0a" * 32
OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
TRUSTED = {key_id(OURS.public_key()): OURS.public_key()}
NAME = "team/slipway/waker"


@pytest.fixture
def server() -> Iterator[FakeRegistry]:
    with serving() as found:
        yield found


@pytest.fixture
def repository(server: FakeRegistry) -> Iterator[Repository]:
    with Repository(Registry.at(f"{server.address}/team"), NAME) as found:
        yield found


def about(kind: str = provenance.PROVENANCE, digest: str = DIGEST) -> provenance.Object:
    subject = provenance.subject("registry.example/waker", digest)
    return provenance.statement(subject, kind, {"told": "something"})


def test_a_signed_image_is_verified_with_what_is_attested(
    repository: Repository,
) -> None:
    signatures.sign(repository, DIGEST, [about()], OURS)
    found = signatures.verified(repository, DIGEST, TRUSTED)
    assert found.key == key_id(OURS.public_key())
    assert found.statements == [about()]


def test_the_layout_is_cosigns(server: FakeRegistry, repository: Repository) -> None:
    signatures.sign(repository, DIGEST, [about()], OURS)
    tag = f"sha256-{'0a' * 32}"
    manifest = json.loads(server.manifests[f"/v2/{NAME}/manifests/{tag}.sig"])
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    payload = server.blobs[layer["digest"]]
    given = layer["annotations"]["dev.cosignproject.cosign/signature"]
    OURS.public_key().verify(base64.b64decode(given), payload)
    critical = json.loads(payload)["critical"]
    assert critical["type"] == "cosign container image signature"
    assert critical["image"] == {"docker-manifest-digest": DIGEST}
    (attested,) = json.loads(server.manifests[f"/v2/{NAME}/manifests/{tag}.att"])[
        "layers"
    ]
    assert attested["mediaType"] == "application/vnd.dsse.envelope.v1+json"
    assert attested["annotations"]["predicateType"] == provenance.PROVENANCE


def test_an_image_that_nobody_signed_is_not_verified(repository: Repository) -> None:
    assert signatures.verified(repository, DIGEST, TRUSTED).reason == (
        "it has no signature"
    )


def test_another_key_is_not_believed(repository: Repository) -> None:
    signatures.sign(repository, DIGEST, [about()], THEIRS)
    found = signatures.verified(repository, DIGEST, TRUSTED)
    assert (found.key, found.statements) == ("", [])
    assert "none of its signatures is by a trusted key" in found.reason


def test_a_signature_of_another_image_is_not_believed(
    server: FakeRegistry, repository: Repository
) -> None:
    """Whoever may push can copy a signature to another image's tag."""
    signatures.sign(repository, DIGEST, [about()], OURS)
    other = "sha256:" + "0b" * 32
    for path in list(server.manifests):
        copied = path.replace("0a" * 32, "0b" * 32)
        server.manifests[copied] = server.manifests[path]
    found = signatures.verified(repository, other, TRUSTED)
    assert (found.key, found.statements) == ("", [])
    assert "signed another digest" in found.reason


def test_a_changed_blob_is_refused(
    server: FakeRegistry, repository: Repository
) -> None:
    signatures.sign(repository, DIGEST, [about()], OURS)
    for digest in server.blobs:
        server.blobs[digest] += b" "
    with pytest.raises(ImageError, match="has digest"):
        signatures.verified(repository, DIGEST, TRUSTED)


def test_others_signatures_stay_and_ones_own_statement_is_replaced(
    repository: Repository,
) -> None:
    signatures.sign(repository, DIGEST, [about()], THEIRS)
    signatures.sign(repository, DIGEST, [about()], OURS)
    newer = about() | {"predicate": {"told": "something else"}}
    signatures.sign(repository, DIGEST, [newer], OURS)
    both = TRUSTED | {key_id(THEIRS.public_key()): THEIRS.public_key()}
    assert signatures.verified(repository, DIGEST, TRUSTED).statements == [newer]
    assert len(signatures.verified(repository, DIGEST, both).statements) == 2
    theirs = {key_id(THEIRS.public_key()): THEIRS.public_key()}
    assert signatures.verified(repository, DIGEST, theirs).key


@pytest.mark.parametrize("login", ["basic", "bearer"])
def test_the_users_own_log_in_is_taken(
    login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(login) as server:
        registry = Registry.at(server.address)
        with (
            Repository(registry, "waker") as nobody,
            pytest.raises(ImageError, match=r"log-in|answers 401"),
        ):
            signatures.sign(nobody, DIGEST, [about()], OURS)
        known = base64.b64encode(b"ada:pw").decode()
        config = {"auths": {server.address: {"auth": known}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with Repository(registry, "waker") as repository:
            signatures.sign(repository, DIGEST, [about()], OURS)
            assert signatures.verified(repository, DIGEST, TRUSTED).key


@pytest.mark.parametrize("login", ["", "bearer"])
def test_blobs_may_lie_on_another_host(
    login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    known = base64.b64encode(b"ada:pw").decode()
    with serving(login) as server:
        server.redirects = True
        config = {"auths": {server.address: {"auth": known}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with Repository(Registry.at(server.address), "waker") as repository:
            signatures.sign(repository, DIGEST, [about()], OURS)
            assert signatures.verified(repository, DIGEST, TRUSTED).key
            (one, *_) = server.blobs
            repository.put_blob(server.blobs[one], "text/plain")
    assert server.asked[-1] == f"HEAD /storage/{one}"
    assert f"GET /storage/{one}" in server.asked


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit, as which a folder can be taken."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "inside").mkdir()
    return tmp_path


def test_the_commit_of_a_checkout_around_this_one_is_not_the_source(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = images()["alert-recorder"]
    document = sbom.document(sbom.Part("alert-recorder", kind="container"), [])

    def sources() -> list[Any]:
        made = provenance.predicate(image, Record("k", "i"), "buildah", document)
        found: list[Any] = made["buildDefinition"]["resolvedDependencies"]
        return found

    monkeypatch.setattr(paths, "ROOT", checkout)
    commit, changed = provenance.revision()
    assert (len(commit), changed) == (40, False)
    assert sources() == [{"uri": "git", "digest": {"gitCommit": commit}}]
    monkeypatch.setattr(paths, "ROOT", checkout / "inside")
    assert provenance.revision() == ("", False)
    assert sources() == []


@pytest.fixture
def pushed(
    tmp_path: Path, server: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """A registry with the image alert-recorder, which was built here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(LOCK_VARIABLE, str(tmp_path / "images.lock"))
    (BUILDAH.home / "root" / "overlay-images" / "one").mkdir(parents=True)
    records.keep(BUILDAH, "alert-recorder", Record("k" * 64, "one", DIGEST))
    part = sbom.Part(
        "libc6", "1", sbom.deb("libc6", "1", "amd64", "x"), sha256="a" * 64
    )
    monkeypatch.setattr("slipway.images.contents.parts", lambda *_: [part])
    return Registry.at(f"{server.address}/team", "registry.example/team")


def reference(registry: Registry, name: str = "alert-recorder") -> str:
    return f"{registry.host}/slipway/{name}@{DIGEST}"


def test_what_was_pushed_is_signed_once_with_provenance_and_bill(
    pushed: Registry,
) -> None:
    chosen = [images()["alert-recorder"]]
    names = attest.sign(chosen, pushed, OURS, silent, OF_THE_LAB)
    assert names == ["alert-recorder"]
    assert attest.sign(chosen, pushed, OURS, silent, OF_THE_LAB) == []
    lock = {"alert-recorder": reference(pushed)}
    (verdict,) = attest.verify(lock, TRUSTED)
    assert verdict.is_good
    assert verdict.attested == ("SBOM", "provenance")
    assert verdict.commit == provenance.revision()[0]
    with Repository(pushed, "team/slipway/alert-recorder") as repository:
        found = signatures.verified(repository, DIGEST, TRUSTED).statements
    by_kind = {it["predicateType"]: it["predicate"] for it in found}
    built = by_kind[provenance.PROVENANCE]["buildDefinition"]
    purl = "pkg:deb/debian/libc6@1?arch=amd64&distro=x"
    wanted = {"uri": purl, "digest": {"sha256": "a" * 64}}
    assert wanted in built["resolvedDependencies"]
    assert by_kind[sbom.PREDICATE_TYPE]["components"][0]["name"] == "libc6"


def test_the_command_names_what_is_not_signed(pushed: Registry, tmp_path: Path) -> None:
    keys.make(tmp_path / "key.pem")
    attest.sign(
        [images()["alert-recorder"]],
        pushed,
        keys.load_private(tmp_path / "key.pem"),
        silent,
        OF_THE_LAB,
    )
    lock = {
        "alert-recorder": reference(pushed),
        "waker": reference(pushed, "waker"),
        "envoy": f"{LOADED}/slipway/envoy@{DIGEST}",
    }
    file = tmp_path / "prod.lock"
    file.write_text(json.dumps(lock))
    words = ["verify", "--lock", str(file), "--trust", str(tmp_path / "key.pub.pem")]
    done = CliRunner().invoke(cli.command, words)
    assert done.exit_code == 1
    recorder, envoy, waker, last = done.output.splitlines()
    assert recorder.startswith("alert-recorder: signed by ")
    assert "SBOM, provenance" in recorder
    assert envoy.startswith("envoy: NOT SIGNED: it was loaded into nodes")
    assert waker == "waker: NOT SIGNED: it has no signature"
    assert last == "1 of 3 images are signed"
    one = CliRunner().invoke(cli.command, [*words, "alert-recorder"])
    assert one.exit_code == 0, one.output
    unknown = CliRunner().invoke(cli.command, [*words, "nothing"])
    assert "has no nothing" in str(unknown.exception)


def test_a_silent_registry_is_a_reason(tmp_path: Path) -> None:
    lock = {"waker": f"127.0.0.1:9/slipway/waker@{DIGEST}"}
    (verdict,) = attest.verify(lock, TRUSTED)
    assert not verdict.is_good
    assert "does not answer" in verdict.reason


def test_a_push_with_a_key_signs(
    pushed: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.make(tmp_path / "key.pem")
    monkeypatch.setattr("slipway.images.registry.build", lambda *_: [])
    monkeypatch.setattr("slipway.images.feasible.check", lambda *_: None)
    monkeypatch.setattr(cli, "choose", lambda *_: BUILDAH)
    monkeypatch.setattr(type(BUILDAH), "push", lambda *_, **__: DIGEST)
    lock = ["--lock", str(tmp_path / "prod.lock")]
    words = ["push", "alert-recorder", "--registry", pushed.host, *lock]
    done = CliRunner().invoke(cli.command, [*words, "--key", str(tmp_path / "key.pem")])
    assert done.exit_code == 0, done.output
    assert "1 signed" in done.output
    assert not (tmp_path / "images.lock").exists()
    trust = ["--trust", str(tmp_path / "key.pub.pem")]
    verified = CliRunner().invoke(cli.command, ["verify", *trust, *lock])
    assert verified.exit_code == 0, verified.output
    assert "1 of 1 images are signed" in verified.output

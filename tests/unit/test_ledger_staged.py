"""`slipway up` asks the ledger before it serves a revision."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console

from components.settings import SettingsError
from slipway.engine.engine import Engine
from slipway.ledger import staged
from slipway.ledger.ledger import Ledger
from slipway.ledger.store import FolderStore
from tests.support import ledgers, rendered
from toolchain.errors import OperatorError

IMAGE = f"registry.example.com/employment@sha256:{'a' * 64}"
OTHER = f"registry.example.com/employment@sha256:{'b' * 64}"
REVISIONS = {"r1": {"model_image": IMAGE, "weight": 100}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a ledger of its own and the key that signs there."""
    public = ledgers.KEY.public_key()
    (tmp_path / "ledger.pub.pem").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "stacks" / "config").mkdir(parents=True)
    (tmp_path / "images.lock").write_text(json.dumps(dict(rendered.IMAGES)))
    return tmp_path


def write(root: Path, *, ledger: dict[str, Any] | None = None, **more: Any) -> None:
    """The stack file; without `more`, one server with the revision r1."""
    model = more.pop("model", {"revisions": REVISIONS, "route": {"prefix": "/e/v1"}})
    said = {"place": "ledger", "trusted_keys": ["ledger.pub.pem"]}
    values = {
        "cluster": {"kubeconfig": "lab"},
        "images_lock": "images.lock",
        "models": {"employment": model},
        "ledger": said | {"require_staged": True} | (ledger or {}),
        **more,
    }
    file = root / "stacks" / "config" / "Pulumi.models.test.yaml"
    config = {f"slipway:{name}": it for name, it in values.items() if it is not None}
    file.write_text(yaml.safe_dump({"config": config}))


def ledger(root: Path) -> Ledger:
    return Ledger(FolderStore(root / "ledger"), ledgers.KEY)


def register(root: Path, revision: str = "r1", image: str = IMAGE) -> None:
    ledger(root).register("employment", revision, {"image": image}, ledgers.WORD)


def stage(root: Path, *states: str, revision: str = "r1") -> None:
    for state in states or ("staged",):
        ledger(root).move("employment", revision, state, ledgers.WORD)


def refused(root: Path) -> list[tuple[str, str, str]]:
    try:
        staged.before("models.test", root)
    except SettingsError as error:
        return [(it.path, it.reason, it.fix) for it in error.problems]
    return []


def test_what_the_ledger_does_not_know_is_refused(root: Path) -> None:
    write(root)
    ((path, reason, fix),) = refused(root)
    assert path == "models.employment.revisions.r1"
    assert reason == "the ledger has no r1 of employment (it has: none)"
    assert f"slipway ledger register employment --revision r1 --image {IMAGE}" in fix
    assert "slipway ledger stage employment r1 --why" in fix


def test_what_is_registered_is_refused_until_it_is_staged(root: Path) -> None:
    write(root)
    register(root)
    ((_, reason, fix),) = refused(root)
    assert reason == "employment r1 is registered and not staged in the ledger"
    assert fix == "slipway ledger stage employment r1 --why ..."
    stage(root)
    assert refused(root) == []


@pytest.mark.parametrize("states", [("shadow",), ("canary",), ("serving",)])
def test_what_is_further_may_be_served(root: Path, states: tuple[str, ...]) -> None:
    write(root)
    register(root)
    stage(root, "staged", *states)
    assert refused(root) == []


def test_what_is_retired_may_not(root: Path) -> None:
    write(root)
    register(root)
    stage(root, "staged", "retired")
    ((_, reason, fix),) = refused(root)
    assert "is retired" in reason
    assert "another revision" in fix


@pytest.mark.parametrize("is_required", [True, False])
def test_another_image_under_the_same_name_is_refused_in_any_case(
    root: Path, *, is_required: bool
) -> None:
    write(root, ledger={"require_staged": is_required})
    register(root, image=OTHER)
    stage(root)
    ((path, reason, fix),) = refused(root)
    assert path == "models.employment.revisions.r1"
    assert f"is registered with sha256:{'b' * 64}" in reason
    assert "register employment --revision NEW" in fix


def test_one_registered_without_an_image_is_refused(root: Path) -> None:
    write(root)
    files = {"files": [{"path": "model.onnx", "sha256": "c" * 64}]}
    ledger(root).register("employment", "r1", files, ledgers.WORD)
    stage(root)
    ((_, reason, _),) = refused(root)
    assert "files and no image" in reason


def test_production_asks_without_being_told_to(root: Path) -> None:
    access = {"api_keys": {"secret": "callers"}}
    model = {
        "revisions": REVISIONS,
        "route": {"prefix": "/e/v1"},
        "access": access,
        "scaling": {"min_replicas": 2},
    }
    asks = {"require_staged": None}
    write(root, ledger=asks, production=True, model=model)
    assert len(refused(root)) == 1
    write(root, ledger=asks)
    assert refused(root) == []


def test_a_server_without_named_revisions_is_found_by_its_image(root: Path) -> None:
    model = {"model_image": IMAGE, "route": {"prefix": "/e/v1"}}
    write(root, model=model)
    ((path, reason, _),) = refused(root)
    assert path == "models.employment.model_image"
    assert "no revision with this image" in reason
    register(root, revision="2026-10-01")
    stage(root, revision="2026-10-01")
    assert refused(root) == []


def test_of_one_image_with_several_names_one_that_may_be_served_counts(
    root: Path,
) -> None:
    write(root, model={"model_image": IMAGE, "route": {"prefix": "/e/v1"}})
    for name in ("r1", "r2"):
        register(root, revision=name)
    stage(root, "staged", "retired")
    ((_, reason, fix),) = refused(root)
    # Of two that may not, the one for which there is something to do.
    assert reason == "employment r2 is registered and not staged in the ledger"
    assert fix == "slipway ledger stage employment r2 --why ..."
    stage(root, revision="r2")
    assert refused(root) == []


def test_what_is_exempt_is_not_asked_about(root: Path) -> None:
    write(root, ledger={"exempt": ["employment"]})
    assert refused(root) == []


def test_without_a_ledger_nothing_is_asked(root: Path) -> None:
    write(root)
    file = root / "stacks" / "config" / "Pulumi.models.test.yaml"
    content = yaml.safe_load(file.read_text())
    del content["config"]["slipway:ledger"]
    file.write_text(yaml.safe_dump(content))
    assert refused(root) == []
    staged.before("platform.test", root)


def test_a_ledger_of_another_key_or_one_that_was_changed_stops(root: Path) -> None:
    write(root)
    Ledger(FolderStore(root / "ledger"), ledgers.STRANGER).register(
        "employment", "r1", {"image": IMAGE}, ledgers.WORD
    )
    with pytest.raises(OperatorError, match=r"key.*nothing was changed"):
        staged.before("models.test", root)
    (root / "ledger.pub.pem").unlink()
    with pytest.raises(OperatorError, match=r"ledger\.trusted_keys.*No such file"):
        staged.before("models.test", root)


@pytest.mark.parametrize("verb", ["up", "preview"])
def test_the_engine_asks_before_it_opens_the_stack(
    root: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def opens(*_: object) -> None:
        raise AssertionError("the stack was opened")

    checked = SimpleNamespace(references=[], resources=(), manifests=[])
    checked.uses_kubernetes = False
    monkeypatch.setattr(Engine, "check", lambda *_: checked)
    monkeypatch.setattr(Engine, "_open", opens)
    write(root)
    with pytest.raises(SettingsError, match="has no r1 of employment"):
        getattr(Engine(Console(file=io.StringIO()), {}, root), verb)("models.test")

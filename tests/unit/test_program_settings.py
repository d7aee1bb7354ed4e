"""A program's settings from the engine: decrypted, with the keys that had secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.serving.models_settings import ModelsSettings
from components.settings import SettingsError
from stacks import config
from tests.support.rendered import EMPLOYMENT, IMAGES

MODEL = "employment"
KEYS = {"secret": f"{MODEL}-keys"}


@pytest.fixture(autouse=True)
def images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "images.lock"
    lock.write_text(json.dumps(IMAGES))
    monkeypatch.setenv("SLIPWAY_IMAGES_LOCK", str(lock))


def of_engine(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], secret: list[str]
) -> ModelsSettings:
    """What a program reads under `pulumi up`."""
    texts = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in values.items()}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(texts))
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(secret))
    monkeypatch.setattr(pulumi, "get_stack", lambda: "models.mine")
    return config.settings(ModelsSettings)


SERVED = EMPLOYMENT | {"access": {"api_keys": KEYS}}
DECRYPTED = {
    "slipway:models": {MODEL: SERVED},
    "slipway:client_keys": {KEYS["secret"]: {"alice": "0123456789-not-a-real-one"}},
}


def test_the_engines_values_make_the_same_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = of_engine(monkeypatch, DECRYPTED, ["slipway:client_keys"])
    key = found.client_keys[KEYS["secret"]]["alice"]
    assert key.get_secret_value() == "0123456789-not-a-real-one"
    with pytest.raises(SettingsError) as caught:
        of_engine(monkeypatch, DECRYPTED, [])
    (problem,) = caught.value.problems
    assert problem.path == f"client_keys.{KEYS['secret']}.alice"
    assert "in plain text" in problem.reason


def test_no_error_shows_what_the_engine_has_decrypted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden = {"slipway:password": "not-a-real-one", "slipway:cluster": {"context": "n"}}
    values = DECRYPTED | hidden | {"aws:token": "not-a-real-one"}
    with pytest.raises(SettingsError) as caught:
        of_engine(monkeypatch, values, ["slipway:client_keys", *hidden, "aws:token"])
    paths_ = sorted(problem.path for problem in caught.value.problems)
    assert paths_ == ["aws:token", "cluster", "password"]
    assert "not-a-real-one" not in str(caught.value)

"""Every command reads every stack file alike: the same settings, or the same errors."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click.testing import CliRunner

from components.cluster.existing import cluster_access
from components.observability.dashboards import drawing
from components.serving.models_settings import ModelsSettings
from components.setting_secrets import Encrypted
from components.settings import SettingsError
from slipway import stack_settings
from slipway.cli import cli
from slipway.cluster import target
from slipway.engine.engine import Engine
from slipway.rendering.render import render
from stacks import cluster, files, layers
from tests.support import read_once
from tests.support.rendered import IMAGES
from toolchain import paths

MODEL, JOB, NOWHERE = "employment", "assistant-tuning", "http://127.0.0.1:9"
EVERYWHERE: dict[str, tuple[str, ...]] = {
    "up": ("up", "{}"),
    "preview": ("preview", "{}"),
    "render": ("render", "{}"),
    "check": ("check", "{}"),
    "doctor": ("doctor", "{}", "--json"),
}
DASHBOARDS = ("dashboards", "{}", "--output", "/nonexistent")
COMMANDS: dict[str, dict[str, tuple[str, ...]]] = {
    "cluster": EVERYWHERE | {"cost": ("cost", "{}", "--json")},
    "platform": EVERYWHERE | {"dashboards": DASHBOARDS},
    "models": EVERYWHERE
    | {
        "compose": ("compose", "{}", "--out", "/nonexistent"),
        "dashboards": DASHBOARDS,
        "keys": ("keys", "list", "{}", MODEL),
        "logs": ("logs", MODEL, "--stack", "{}"),
        "experiment": ("experiment", "status", MODEL, "--stack", "{}"),
        "rollout": ("rollout", "status", MODEL, "--stack", "{}"),
        "rollout verify": ("rollout", "verify", MODEL, "--stack", "{}"),
        "rollout record": ("rollout", "record", MODEL, "--stack", "{}"),
        "audit verify": ("audit", "verify", "--stack", "{}"),
        "bench model": ("bench", "model", "{}/" + MODEL, "--yes", "--gateway", NOWHERE),
        "bench sizing": ("bench", "sizing", "{}", "--prometheus", NOWHERE),
        "resize": ("resize", MODEL, "--stack", "{}", "--set=memory_limit_mib=512"),
    },
    "jobs": EVERYWHERE
    | {"jobs": ("jobs", "--stack", "{}"), "run": ("run", JOB, "--stack", "{}")},
}
"""What reads a stack's settings, by layer; `{}` is the stack."""
REST = {"catalog", "destroy", "images", "local", "schema", "models", "refresh"}
REST |= {"compare", "drift", "ledger", "optimize", "replay", "version"}
"""Commands that read none; `destroy` works with settings that are refused, `compare`
has each of two checkouts render its own, `drift` reads the state."""
SECURE = {"secure": "v1:AAAABBBBCCCCDDDD:not-a-real-one"}
KEYS = {"secret": f"{MODEL}-keys"}


class Reached(Exception):  # noqa: N818 no error
    """The settings were taken: the first resource would be made."""


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster, no account, no state; programs end where their first resource is."""

    def reached(*_: Any, **__: Any) -> Any:
        raise Reached

    monkeypatch.setattr(cluster_access, "provider", reached)
    monkeypatch.setattr(cluster, "provider", reached)
    monkeypatch.setattr(drawing, "text", reached)
    monkeypatch.setattr(Engine, "resources", lambda *_: [])
    read_once.policies_and_names(monkeypatch)
    lock = tmp_path / "images.lock"
    lock.write_text(json.dumps(IMAGES))
    monkeypatch.setenv("SLIPWAY_IMAGES_LOCK", str(lock))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # Without one, production's state is refused before it is looked for.
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "shared by all who deploy")


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkout of the test's own with the stack files of this one."""
    root = tmp_path / "checkout"
    shutil.copytree(files.ROOT / files.CONFIG_FOLDER, root / files.CONFIG_FOLDER)
    shutil.copy(files.ROOT / files.PROJECT_FILE, root)
    monkeypatch.setattr(files, "ROOT", root)
    return root


def outcome(stack: str, words: tuple[str, ...]) -> list[str]:
    """Paths of problems that a command finds in the stack file; the rest may fail."""
    done = CliRunner().invoke(cli, [word.format(stack) for word in words])
    assert isinstance(done.exception, None | SystemExit | Reached), done.exception
    head = f"error: {files.name(stack)}: "
    if head not in done.output:
        assert not re.search("^(Usage|error): ", done.output), done.output
        return []
    assert done.exit_code == 2
    assert "not-a-real-one" not in done.output
    found = re.findall(r"^  (\S.*?): .*\n    reason: ", done.output, re.MULTILINE)
    assert f"{head}{len(found)} problem" in done.output, done.output
    return sorted(found)


def outcomes(stack: str) -> dict[str, list[str]]:
    commands = COMMANDS[layers.of(stack).name]
    return {name: outcome(stack, words) for name, words in commands.items()}


def all_say(stack: str, wanted: list[str]) -> bool:
    found = outcomes(stack)
    assert found == dict.fromkeys(found, wanted)
    return len(found) > 3


def test_the_table_of_commands_is_whole() -> None:
    """A new command is tried here too, or reads no settings."""
    tried = {name.split()[0] for of_layer in COMMANDS.values() for name in of_layer}
    assert tried | REST == set(cli.list_commands(None))  # type: ignore[arg-type]
    assert set(COMMANDS) == set(layers.LAYERS)


@pytest.mark.parametrize("stack", files.known())
def test_every_file_of_the_checkout_is_taken_by_every_command(stack: str) -> None:
    assert all_say(stack, [])


Change = Callable[[dict[str, Any]], Any]


def put(key: str, value: Any) -> Change:
    return lambda given: given.update({key: value})


def inside(key: str, *path: str, value: Any) -> Change:
    def change(given: dict[str, Any]) -> None:
        place = given[f"slipway:{key}"]
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value

    return change


def renamed(pattern: str) -> Change:
    def change(given: dict[str, Any]) -> None:
        for key in list(given):
            given[pattern.format(key.removeprefix("slipway:"))] = given.pop(key)

    return change


def keys(**clients: Any) -> Change:
    def change(given: dict[str, Any]) -> None:
        given["slipway:models"][MODEL]["access"] = {"api_keys": KEYS}
        given["client_keys"] = {KEYS["secret"]: clients}

    return change


def jwks(given: dict[str, Any]) -> None:
    jwt = {"issuer": "https://a.example", "audiences": ["a"], "jwks": {"keys": SECURE}}
    given["slipway:models"][MODEL]["access"] = {"jwt": jwt}


ACCOUNT = "111122223333"
REGION = "us-east-1"
ANY = ("cluster.dev", "platform.mine", "models.mine", "jobs.gpu")
OF_CLUSTER, OF_MODELS, INSIDE = ANY[:1], ANY[2:3], ANY[1:3]
ACCESS = f"models.{MODEL}.access"
CASES: dict[str, tuple[tuple[str, ...], Change, list[str]]] = {
    # Keys as Pulumi takes them
    "bare keys": (ANY, renamed("{}"), []),
    "old keys": (ANY, renamed("slipway:config:{}"), []),
    "twice": (ANY, put("cluster", {}), ["cluster"]),
    "no key": (ANY, put("slipway:a:b", 1), ["slipway:a:b"]),
    "no name": (ANY, put("slipway:", 1), ["slipway:"]),
    "a number for a key": (ANY, put(7, 1), ["7"]),  # type: ignore[arg-type]
    # Secrets
    "encrypted keys": (OF_MODELS, keys(alice=SECURE, bob=SECURE), []),
    "a key in plain text": (
        OF_MODELS,
        keys(alice=SECURE, bob="0123456789abcdef-not-a-real-one"),
        [f"client_keys.{KEYS['secret']}.bob"],
    ),
    "all keys as one secret": (
        OF_MODELS,
        put("slipway:client_keys", SECURE),
        ["client_keys"],
    ),
    "an encrypted account": (
        OF_CLUSTER,
        inside("account", "id", value=SECURE),
        ["account.id"],
    ),
    "an encrypted number": (
        ("platform.mine",),
        put("slipway:gateway", {"replicas": SECURE}),
        ["gateway.replicas"],
    ),
    "an encrypted layer": (INSIDE, put("slipway:cluster", SECURE), ["cluster"]),
    "encrypted where anything may be": (
        OF_MODELS,
        jwks,
        [f"{ACCESS}.jwt.jwks", f"{ACCESS}.jwt.jwks.keys"],
    ),
    "an encrypted mistake": (ANY, put("slipway:modles", SECURE), ["modles"]),
    "a setting called secure": (
        OF_MODELS,
        inside("models", MODEL, "secure", value=1),
        [f"models.{MODEL}.secure"],
    ),
    # Settings of others
    "the same region": (OF_CLUSTER, put("aws:region", REGION), []),
    "another region": (OF_CLUSTER, put("aws:region", "eu-west-1"), ["aws:region"]),
    "an old key of others": (
        OF_CLUSTER,
        put("aws:config:region", "eu-west-1"),
        ["aws:region"],
    ),
    "the same account": (OF_CLUSTER, put("aws:allowedAccountIds", [ACCOUNT]), []),
    "the same account without quotes": (
        OF_CLUSTER,
        put("aws:allowedAccountIds", [int(ACCOUNT)]),
        [],
    ),
    "two accounts": (
        OF_CLUSTER,
        put("aws:allowedAccountIds", [ACCOUNT, "444455556666"]),
        ["aws:allowedAccountIds"],
    ),
    "a profile": (OF_CLUSTER, put("aws:profile", "dev"), ["aws:profile"]),
    "no account here": (INSIDE, put("aws:region", REGION), ["aws:region"]),
    "no cluster here": (
        OF_CLUSTER,
        put("kubernetes:context", "dev"),
        ["kubernetes:context"],
    ),
    "a context": (INSIDE, put("kubernetes:context", "dev"), ["kubernetes:context"]),
    "the same kubeconfig": (INSIDE, put("kubernetes:kubeconfig", "ambient"), []),
    "an encrypted kubeconfig": (
        INSIDE,
        put("kubernetes:kubeconfig", SECURE),
        ["kubernetes:kubeconfig"],
    ),
    "of nobody": (ANY, put("Slipway:models", {}), ["Slipway:models"]),
    "of the engine": (ANY, put("pulumi:tags", {"team": "a"}), []),
    "of no engine": (ANY, put("pulumi:tag", {"team": "a"}), ["pulumi:tag"]),
    # Mistakes
    "unknown": (ANY, put("slipway:modles", {}), ["modles"]),
    "text for a mapping": (ANY, put("slipway:cluster", "lab"), ["cluster"]),
    "nothing for a mapping": (INSIDE, put("slipway:cluster", None), ["cluster"]),
    "two mistakes": (
        INSIDE,
        lambda given: given.update({"a": 1, "aws:region": 1}),
        ["a", "aws:region"],
    ),
}


def changed(checkout: Path, stack: str, change: Change) -> None:
    file = files.path(stack, checkout)
    content = yaml.safe_load(file.read_text())
    change(content["config"])
    file.write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.parametrize(
    ("stack", "change", "wanted"),
    [
        pytest.param(stack, change, wanted, id=f"{name}: {stack}")
        for name, (stacks, change, wanted) in CASES.items()
        for stack in stacks
    ],
)
def test_every_command_says_the_same(
    checkout: Path, stack: str, change: Change, wanted: list[str]
) -> None:
    changed(checkout, stack, change)
    assert all_say(stack, wanted)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("confg: {}\n", "did you mean config?"),
        ("environment: [prod]\nconfig: {}\n", "Pulumi ESC"),
        ("config: {slipway:cluster: !!binary aGk=}\n", None),
        (
            "config: {slipway:cluster: {context: !!binary aGk=}}\n",
            "tag:yaml.org,2002:binary",
        ),
        ("config:\n  slipway:cluster: &a\n    context: *a\n", "contains itself"),
        ("config: {slipway:cluster: 2026-11-01}\n", "not a mapping"),
        ("config: {slipway:cluster: {context: 2026-11-01}}\n", "models"),
        ("config: [1]\n", "mappings"),
        ("config: {\n", "is not YAML"),
    ],
)
def test_every_command_refuses_what_is_no_stack_file(
    checkout: Path, text: str, said: str | None
) -> None:
    files.path("models.mine", checkout).write_text(text)
    outputs = set()
    for words in COMMANDS["models"].values():
        done = CliRunner().invoke(cli, [word.format("models.mine") for word in words])
        assert isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == 2, done.output
        outputs.add(done.output)
    assert len(outputs) == 1
    assert (said or "") in outputs.pop()


def test_configuration_of_the_project_is_refused(checkout: Path) -> None:
    """The engine adds it to the stack's; nothing else does."""
    project = checkout / files.PROJECT_FILE
    before = project.read_text()
    project.write_text(before + "config: {pulumi:tags: {value: {a: b}}}\n")
    assert outcomes("models.mine")["keys"] == []
    project.write_text(before + "config: {aws:region: eu-west-1}\n")
    assert all_say("models.mine", ["Pulumi.yaml config.aws:region"])


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (("keys", "list", "platform.mine", MODEL), "the layer models"),
        (("bench", "sizing", "cluster.dev", "--prometheus", NOWHERE), "layer models"),
        (("bench", "model", f"cluster.dev/{MODEL}", "--gateway", NOWHERE), "models"),
        (("cost", "models.mine"), "layer cluster"),
    ],
)
def test_a_stack_of_another_layer_is_named_as_that(
    words: tuple[str, ...], right: str
) -> None:
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert right in done.output
    assert "there is no such setting" not in done.output


def test_what_is_encrypted_is_known_to_be_there_and_not_what_it_is(
    checkout: Path,
) -> None:
    changed(checkout, "models.mine", keys(alice=SECURE))
    found = stack_settings.load("models.mine", ModelsSettings)
    key = found.client_keys[KEYS["secret"]]["alice"]
    assert isinstance(key, Encrypted)
    assert "not-a-real-one" not in repr(found)


def test_a_cluster_is_found_for_its_destroy_whatever_else_the_file_says(
    checkout: Path,
) -> None:
    wanted = target.Target("serving-dev", ACCOUNT, REGION)
    for change in (renamed("{}"), put("modles", 1), put("aws:region", "eu-west-1")):
        changed(checkout, "cluster.dev", change)
        assert target.of_file("cluster.dev") == wanted
    changed(checkout, "cluster.dev", put("account", {"id": SECURE, "region": REGION}))
    assert target.of_file("cluster.dev") is None


# The table of layers


def test_each_layer_has_its_settings_and_its_program() -> None:
    found = {layer.name: layer for layer in layers.TABLE}
    programs = {file.stem for file in (paths.ROOT / "stacks").glob("*.py")}
    assert set(found) <= programs
    assert found["models"].settings is ModelsSettings
    for layer in layers.TABLE:
        assert callable(layer.program)
        assert ("cluster" in layer.settings.model_fields) is True
        for path in layer.equal.values():
            field, _, name = path.partition(".")
            said: Any = layer.settings.model_fields[field].annotation
            assert name in (*get_args(said), said)[0].model_fields


def test_a_rendering_stops_at_what_is_refused(checkout: Path) -> None:
    """As `up` does; the real programs read by the one way."""
    changed(checkout, "cluster.dev", put("aws:region", "eu-west-1"))
    with pytest.raises(SettingsError, match=r"account\.region takes precedence"):
        render("cluster.dev")

"""Kubeconfigs are read, merged and used as kubectl does, or refused in plain words.

What is right was measured with kubectl 1.33 on the same files (decision 0035).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cluster.existing.kubeconfig_files import ambient
from components.settings import SettingsError
from slipway.cluster import sources
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.engine import stack_api
from stacks import files
from tests.support import rendered as r
from tests.support.https_server import Served, serve

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
PROGRAM = """#!/bin/sh
printf '{"apiVersion":"%s","kind":"ExecCredential","status":{"token":"%s"}}' \
"$API" "$SECRET$1"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("kube")
    program = folder / "plug"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (folder / "token").write_text("of-a-file\n")
    with serve(folder) as found:
        yield found


@pytest.fixture(autouse=True)
def _forget(server: Served) -> None:
    server.asked.clear()
    server.refuses.clear()


def config(server: Served, name: str = "a", **changes: Any) -> dict[str, Any]:
    """A kubeconfig with one context; `cluster`, `user`, `context` change parts."""
    cluster = {"server": server.address, "certificate-authority": "ca.pem"}
    cluster |= changes.pop("cluster", {})
    user = changes.pop("user", {"token": f"of-{name}"})
    context = {"cluster": name, "user": name} | changes.pop("context", {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": context}],
        **changes,
    }


def file(server: Served, content: Any, name: str = "config") -> Path:
    """The content as a file beside the certificate."""
    found = server.certificate.with_name(name)
    found.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return found


def plug(version: str = V1, **changes: Any) -> dict[str, Any]:
    env = [{"name": "API", "value": version}, {"name": "SECRET", "value": "s"}]
    run = {"apiVersion": version, "command": "./plug", "args": ["1"], "env": env}
    return {"user": {"exec": run | changes}}


def of(*files: Path, context: str | None = None) -> None:
    with KubeApi.of_files(files, context) as api:
        assert api.answers() == ""


def pem(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({}, "Bearer of-a"),
        (plug(V1), "Bearer s1"),
        (plug(V1BETA1), "Bearer s1"),
        (plug(args=None), "Bearer s"),
        ({"user": {"tokenFile": "token"}}, "Bearer of-a-file"),
        ({"user": {"tokenFile": "token", "token": "old"}}, "Bearer of-a-file"),
        ({"user": {"token": "of-a", "exec": None}}, "Bearer of-a"),
        ({"user": {"username": "u", "password": "p"}}, "Basic dTpw"),
        (
            {"user": {"client-certificate": "ca.pem", "client-key": "key.pem"}},
            None,
        ),
        ({"context": {"user": ""}}, None),
        ({"context": {"user": None}, "users": None}, None),
        (
            {
                "cluster": {
                    "certificate-authority": "",
                    "insecure-skip-tls-verify": True,
                }
            },
            "Bearer of-a",
        ),
        ({"cluster": {"tls-server-name": "api.example"}}, "Bearer of-a"),
    ],
)
def test_what_serves(changes: dict[str, Any], sent: str | None, server: Served) -> None:
    """From another folder than the kubeconfig's: paths in it start at its own."""
    of(file(server, config(server, **changes)))
    assert server.asked == [sent]


def test_what_is_embedded_comes_before_files(server: Served) -> None:
    cluster = {
        "certificate-authority": "none.pem",
        "certificate-authority-data": pem(server.certificate),
    }
    user = {
        "client-certificate-data": pem(server.certificate),
        "client-key-data": pem(server.key),
    }
    content = config(server, cluster=cluster, user=user)
    with KubeApi.of_kubeconfig(json.dumps(content)) as api:
        assert api.answers() == ""


def test_the_name_of_the_certificate_is_checked(server: Served) -> None:
    wrong = config(server, cluster={"tls-server-name": "other.example"})
    with KubeApi.of_files([file(server, wrong)]) as api:
        assert "does not answer" in api.answers()


def test_a_refused_token_is_made_anew_once(server: Served) -> None:
    token = server.certificate.with_name("renewed")
    token.write_text("old")
    path = file(server, config(server, user={"tokenFile": "renewed"}))
    with KubeApi.of_files([path]) as api:
        assert api.answers() == ""
        token.write_text("new")
        server.refuses.add("Bearer old")
        assert api.answers() == ""
        server.refuses.add("Bearer new")
        assert "401" in api.answers()
    wanted = ["old", "old", "new", "new", "new"]
    assert server.asked == [f"Bearer {one}" for one in wanted]


@pytest.mark.parametrize(
    ("names", "context", "sent"),
    [
        (("a", "b"), None, "of-a"),
        (("b", "a"), None, "of-b"),
        (("a", "b"), "b", "of-b"),
        (("none", "b"), None, "of-b"),
        (("empty", "b"), None, "of-b"),
        (("a", "again"), None, "of-a"),
        (("without", "b"), None, "of-b"),
        (("without", "b"), "c", "of-c"),
    ],
)
def test_files_are_merged_and_the_first_wins(
    names: tuple[str, ...], context: str | None, sent: str, server: Served
) -> None:
    file(server, config(server, "a"), "a")
    file(server, config(server, "b"), "b")
    file(server, "", "empty")
    file(server, config(server, "a", user={"token": "other"}), "again")
    without = config(server, "c")
    del without["current-context"]
    file(server, without, "without")
    of(*(server.certificate.with_name(name) for name in names), context=context)
    assert server.asked == [f"Bearer {sent}"]


def test_the_ambient_files_are_those_of_the_variable(
    server: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = file(server, config(server, "a"), "a")
    second = file(server, config(server, "b"), "b")
    monkeypatch.setenv("KUBECONFIG", f"{os.pathsep}{first}{os.pathsep}{second}")
    assert ambient() == [first, second]
    given = {"config": {"slipway:cluster": {"context": "b"}}}
    monkeypatch.setattr(files, "load", lambda *_: given)
    lock = tmp_path / "images.lock"
    lock.write_text(json.dumps(r.IMAGES))
    monkeypatch.setenv("SLIPWAY_IMAGES_LOCK", str(lock))
    with stack_api.of_stack("platform.test") as api:
        assert api.answers() == ""
    assert server.asked == ["Bearer of-b"]
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ambient() == [tmp_path / ".kube" / "config"]


WRONG = [
    ({"current-context": None}, "context", "no current-context", "known: a"),
    ({"current-context": "b"}, "context", "no context 'b'", "known: a"),
    ({"user": {}}, "kubeconfig", "the user a has no credentials", "`exec`"),
    ({"user": None}, "kubeconfig", "the user a has no credentials", "`exec`"),
    ({"users": []}, "kubeconfig", "no user 'a'", "known: none"),
    ({"users": None}, "kubeconfig", "no user 'a'", "known: none"),
    ({"context": {"user": "aa"}}, "kubeconfig", "no user 'aa'", "did you mean a?"),
    ({"clusters": []}, "kubeconfig", "no cluster 'a'", "known: none"),
    ({"context": {"cluster": ""}}, "kubeconfig", "names no cluster", "cluster"),
    ({"cluster": {"server": ""}}, "kubeconfig", "no server address", "https://"),
    ({"cluster": {"server": 5}}, "kubeconfig", "clusters.0.cluster.server", "form"),
    (
        {"cluster": {"certificate-authority": "none.pem"}},
        "kubeconfig",
        "none.pem cannot be read (No such file",
        "start at the kubeconfig",
    ),
    (
        {"cluster": {"certificate-authority": "token"}},
        "kubeconfig",
        "a certificate of the context a cannot be read",
        "PEM",
    ),
    (
        {"cluster": {"certificate-authority-data": "é"}},
        "kubeconfig",
        "certificate-authority-data is not base64",
        "base64",
    ),
    (
        {"user": {"client-certificate": "ca.pem", "client-key": "none"}},
        "kubeconfig",
        "client-key",
        "relative paths",
    ),
    ({"user": {"tokenFile": "none"}}, "kubeconfig", "tokenFile", "relative paths"),
    (
        {"user": {"auth-provider": {"name": "gcp"}}},
        "kubeconfig",
        "auth-provider",
        "exec",
    ),
    (
        plug(command="no-such-program"),
        "kubeconfig",
        "there is no program no-such-program",
        "PATH",
    ),
    (
        plug(command="no-such-program", installHint="apt install it"),
        "kubeconfig",
        "there is no program",
        "apt install it",
    ),
    (plug(command=None), "kubeconfig", "(no command)", "PATH"),
    (plug(apiVersion=None), "kubeconfig", "apiVersion is not given", "v1beta1"),
    (plug(env="a"), "kubeconfig", "users.0.user.exec.env", "form"),
    ({"clusters": "a"}, "kubeconfig", "clusters", "form"),
]
"""Changes of a good kubeconfig; what the error is about, its reason and its fix."""


@pytest.mark.parametrize(("changes", "setting", "reason", "fix"), WRONG)
def test_what_cannot_serve_is_refused_before_anything_is_made(
    changes: dict[str, Any], setting: str, reason: str, fix: str, server: Served
) -> None:
    path = file(server, config(server, **changes))
    with pytest.raises(KubeApiError) as told:
        KubeApi.of_files([path])
    assert reason in str(told.value)
    assert fix in str(told.value)
    rendered = r.models(cluster={"kubeconfig": str(path)})
    with pytest.raises(SettingsError) as caught:
        sources.require_kubeconfig("models.test", rendered)
    problem = caught.value.problems[0]
    assert problem.path == f"cluster.{setting}"
    assert reason in problem.reason
    assert fix in problem.fix
    assert server.asked == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n", "is not a valid kubeconfig"),
        ("a: [\n", "is not YAML: line 2"),
        ("users: []\nusers: []\n", "users appears twice, in lines 1 and 2"),
        ("", "no current-context"),
    ],
)
def test_what_is_no_kubeconfig(text: str, reason: str, server: Served) -> None:
    with pytest.raises(KubeApiError, match=reason):
        KubeApi.of_files([file(server, text)])
    with pytest.raises(KubeApiError, match="there is no kubeconfig /none"):
        KubeApi.of_files([Path("/none")])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"command": "false"}, "it ended with 1"),
        ({"command": "true"}, "printed no ExecCredential"),
        ({"command": "echo", "args": ['{"status": []}']}, "printed no Exec"),
        ({"command": "sh", "args": ["-c", "echo gone >&2; exit 3"]}, "gone"),
        ({"env": [{"name": "API", "value": V1}]}, "neither a token nor a certificate"),
        (
            {"env": [{"name": "API", "value": V1BETA1}]},
            f"gave {V1BETA1}, but {V1} was requested",
        ),
    ],
)
def test_a_program_that_gives_no_credentials(
    changes: dict[str, Any], reason: str, server: Served
) -> None:
    without_token = {"args": None} | changes
    with pytest.raises(KubeApiError) as caught:
        KubeApi.of_files([file(server, config(server, **plug(**without_token)))])
    assert reason in str(caught.value)
    assert "exec.env" in str(caught.value)
    assert server.asked == []  # never as nobody


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"user": {"tokenFile": "token"}},
        plug(),
    ],
)
def test_relative_paths_of_a_named_file_are_refused_where_the_provider_loses_them(
    changes: dict[str, Any], server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = {"cluster": {"certificate-authority": str(server.certificate)}}
    content = config(server, **({**absolute, **changes} if changes else {}))
    path = file(server, content)
    named = r.models(cluster={"kubeconfig": str(path)})
    with pytest.raises(SettingsError) as caught:
        sources.require_kubeconfig("models.test", named)
    (problem,) = caught.value.problems
    assert "relative path" in problem.reason
    assert f"KUBECONFIG={path}" in problem.fix
    monkeypatch.setenv("KUBECONFIG", str(path))
    sources.require_kubeconfig("models.test", r.models())


def test_no_ambient_kubeconfig_is_left_to_the_provider(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a pod it takes the pod's own account."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    sources.require_kubeconfig("models.test", r.models())
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="there is no kubeconfig"):
        sources.require_kubeconfig("models.test", r.models())


def given(monkeypatch: pytest.MonkeyPatch, *files: Path) -> Any:
    """The provider's kubeconfig with these files in $KUBECONFIG."""
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    rendered = r.models()
    sources.require_kubeconfig("models.test", rendered)
    return r.resource(rendered, "kubernetes").inputs.get("kubeconfig")


def test_the_provider_merges_several_files_itself(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK would give it the list, which it takes for a kubeconfig's content."""
    whole = {"cluster": {"certificate-authority": str(server.certificate)}}
    one = file(server, config(server, "a", **whole), "a")
    two = file(server, config(server, "b", **whole), "b")
    beside = file(server, config(server), "beside")
    assert given(monkeypatch, one) == str(one)
    assert given(monkeypatch, one, two) is None
    assert given(monkeypatch, beside) is None  # its paths start beside it
    monkeypatch.chdir(one.parent)
    assert given(monkeypatch, Path("a")) == str(one)
    with pytest.raises(SettingsError, match="KUBECONFIG has the relative path a"):
        given(monkeypatch, Path("a"), two)


def test_no_secret_is_reported(server: Served) -> None:
    content = config(server, user={"token": "hush", "exec": 5})
    with pytest.raises(KubeApiError) as caught:
        KubeApi.of_files([file(server, content)])
    assert "users.0.user.exec" in str(caught.value)
    assert "hush" not in str(caught.value)

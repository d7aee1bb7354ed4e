"""An application reads a feature from its database, by a Secret and by `egress`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from components import images as references
from components import naming
from examples.demo_rollout.lab_stack import SMALL
from slipway import images
from slipway.images import registry
from tests.cluster.conftest import Cluster
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack

SPACE, NAME, SERVER = "data-test", "postgres", "scoring"
PASSWORD = "quite-long-and-made-for-a-test"
RESIDENT, EDUCATION = 7, 21
LABELS = {"app": NAME}
SECONDS = 60


def secret(namespace: str) -> dict[str, Any]:
    data = {"password": base64.b64encode(PASSWORD.encode()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "scoring-database", "namespace": namespace},
        "data": data,
    }


def database() -> list[dict[str, Any]]:
    """PostgreSQL, restricted, on folders that end with it."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    container = {
        "name": NAME,
        "image": references.resolve(NAME),
        "env": [{"name": "PASSWORD_FILE", "value": "/etc/secret/password"}],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "--host=127.0.0.1"]},
            "periodSeconds": 1,
        },
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "secret", "mountPath": "/etc/secret", "readOnly": True},
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        "volumes": [
            {"name": "data", "emptyDir": {"sizeLimit": "256Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "secret", "secret": {"secretName": "scoring-database"}},
        ],
    }
    place = {"name": NAME, "namespace": SPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": SPACE, "labels": restricted},
        },
        secret(SPACE),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": place,
            "spec": {
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": place,
            "spec": {"selector": LABELS, "ports": [{"port": 5432}]},
        },
    ]


@pytest.fixture(scope="module")
def stack(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnStack]:
    registry.push(names=[NAME])
    made = [*database(), secret(naming.MODELS_NAMESPACE)]
    own = OwnStack("models.application", Path(tmp_path_factory.mktemp("application")))
    try:
        cluster.kube.apply(*made)
        cluster.kube.rollout(NAME, SPACE)
        table = (
            "create table residents (number int primary key, schl int);"
            f"insert into residents values ({RESIDENT}, {EDUCATION})"
        )
        psql = ("psql", "--host=/tmp", "--username=application", "--dbname=postgres")
        cluster.kube.run(
            "exec", f"deployment/{NAME}", "-n", SPACE, "--", *psql, f"--command={table}"
        )
        yield own
    finally:
        try:
            own.down()
        finally:
            cluster.kube.delete(*made)


def settings(**more: Any) -> dict[str, Any]:
    model = {
        **SMALL,
        "model": "employment",
        "model_image": "employment",
        "image": "example-fastapi",
        "runtime": {"kind": "fastapi", "paths": ["/score"]},
        "route": {"prefix": "/scoring/v1"},
        "environment": {"DATABASE_HOST": f"{NAME}.{SPACE}.svc.cluster.local"},
        "secrets": {
            "scoring-database": {"variables": {"DATABASE_PASSWORD": "password"}}
        },
        **more,
    }
    return {SERVER: model}


def test_it_reads_its_feature_and_without_egress_it_cannot(
    cluster: Cluster, stack: OwnStack
) -> None:
    rows, _ = images.real_rows("employment", 1)
    described = (images.model_folder("employment") / "model.yaml").read_text()
    names = yaml.safe_load(described)["features"]
    row = {name: int(x) for name, x in zip(names, rows[0], strict=True)}
    whole = row | {"SCHL": EDUCATION}
    known = {k: v for k, v in row.items() if k != "SCHL"} | {"resident": RESIDENT}
    address = f"{cluster.urls['gateway']}/scoring/v1/score"

    def ask() -> httpx.Response:
        return httpx.post(f"{address}/known", json=known, timeout=20)

    stack.up(models=settings())
    wanted = httpx.post(address, json=whole, timeout=20)
    assert wanted.status_code == 200, wanted.text
    refused = ask()
    assert refused.status_code == 503, refused.text
    assert "does not answer" in refused.json()["error"]
    assert PASSWORD not in refused.text
    way = {"namespace": SPACE, "pods": LABELS, "ports": [5432]}
    stack.up(models=settings(egress=[way]))
    wait_until(lambda: ask().status_code == 200, SECONDS, "the way is open")
    assert ask().json() == wanted.json()

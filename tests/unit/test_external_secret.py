"""A Secret from AWS Secrets Manager, as the External Secrets Operator is asked."""

from __future__ import annotations

from typing import Any

import pytest

from components.settings import SettingsError
from tests.support import kubernetes
from tests.support import rendered as r

AWS = {"secret": "prod/database", "store": "aws"}
SECRETS: dict[str, Any] = {
    "database": {
        "variables": {"DATABASE_USER": "username", "PGPASSWORD": "password"},
        "files": {"/etc/database/password": "password"},
        "aws": AWS,
    },
    "certificate": {
        "files": {"/etc/certificates/ca.crt": "ca"},
        "aws": {
            "secret": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ca-AbCdEf",
            "store": "team",
            "store_kind": "SecretStore",
            "form": "text",
            "refresh_minutes": 1440,
        },
    },
}


def test_the_operator_is_asked_for_the_keys_that_are_used_and_no_others() -> None:
    rendered = r.model(secrets=SECRETS)
    found = {
        m["metadata"]["name"]: m["spec"]
        for m in rendered.manifests
        if m["kind"] == "ExternalSecret"
    }
    assert found == {
        "employment-database": {
            "refreshInterval": "60m",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "aws"},
            "target": {
                "name": "employment-database",
                "creationPolicy": "Owner",
                "deletionPolicy": "Retain",
            },
            "data": [
                {
                    "secretKey": key,
                    "remoteRef": {"key": "prod/database", "property": key},
                }
                for key in ("password", "username")
            ],
        },
        "employment-certificate": {
            "refreshInterval": "1440m",
            "secretStoreRef": {"kind": "SecretStore", "name": "team"},
            "target": {
                "name": "employment-certificate",
                "creationPolicy": "Owner",
                "deletionPolicy": "Retain",
            },
            "data": [
                {
                    "secretKey": "ca",
                    "remoteRef": {"key": SECRETS["certificate"]["aws"]["secret"]},
                }
            ],
        },
    }


def test_pods_take_the_secrets_that_the_operator_makes_and_wait_for_them() -> None:
    rendered = r.model(secrets=SECRETS)
    pod = r.pod(rendered)
    assert kubernetes.files(pod) == {
        "/etc/database/password": ("employment-database", "password"),
        "/etc/certificates/ca.crt": ("employment-certificate", "ca"),
    }
    told = {e["name"]: e.get("valueFrom") for e in pod["containers"][0]["env"]}
    reference = {"name": "employment-database", "key": "password"}
    assert told["PGPASSWORD"] == {"secretKeyRef": reference}
    deployment = r.resource(rendered, "Deployment")
    made = {x.urn for x in rendered.resources if x.type.endswith(":ExternalSecret")}
    assert len(made) == 2
    assert made <= set(deployment.depends_on)
    for m in rendered.manifests:
        if m["kind"] == "ExternalSecret":
            assert m["metadata"]["namespace"] == "models"
            annotations = {"pulumi.com/waitFor": "condition=Ready"}
            assert m["metadata"]["annotations"] == annotations


def model(**secrets: Any) -> dict[str, Any]:
    return {"model_image": "employment", "secrets": secrets}


KEY = {"variables": {"A": "a"}, "aws": AWS}


@pytest.mark.parametrize(
    ("config", "path", "reason"),
    [
        (
            {"models": {"a": model(**{"b-c": KEY}), "a-b": model(c=KEY)}},
            "models.a-b.secrets.c",
            "models.a.secrets.b-c also fills it",
        ),
        (
            {
                "models": {
                    "a": {
                        **model(keys=KEY),
                        "route": {"prefix": "/a"},
                        "access": {"api_keys": {"secret": "a-keys"}},
                    }
                }
            },
            "models.a.secrets.keys",
            "it holds clients' API keys",
        ),
        (
            {
                "models": {
                    "a": model(
                        s={
                            "variables": {"A": "a", "B": "b"},
                            "aws": {**AWS, "form": "text"},
                        }
                    )
                }
            },
            "models.a.secrets.s.aws.form",
            "form: text has no keys",
        ),
        (
            {
                "models": {
                    "a": model(
                        s={"variables": {"A": "a"}, "aws": {**AWS, "secret": "a b"}}
                    )
                }
            },
            "models.a.secrets.s.aws.secret",
            "neither a name nor an ARN",
        ),
        (
            {"models": {"a": model(s={"variables": {"A": "a"}, "aws": {}})}},
            "models.a.secrets.s.aws.secret",
            "it is required",
        ),
    ],
)
def test_what_could_not_be_filled_is_refused(
    config: dict[str, Any], path: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        r.models(**config)
    found = {problem.path: problem.reason for problem in caught.value.problems}
    assert reason in found[path]

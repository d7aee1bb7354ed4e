"""No secret leaves in any text: canaries of every shape, in text and in logs."""

from __future__ import annotations

import io
import json
import logging

import pytest

from slipway.doctor.findings import Finding, Report
from slipway.redaction import REDACTED, handler, redact

KEY_ID = "AKIA" + "CANARYCANARY0000"
SESSION_ID = "ASIA" + "CANARYCANARY0001"
SECRET = "cAnArY/secret+KEY" + "0123456789abcdefghijklm"
TOKEN = "IQoJb3JpZ2luX2Vj" + "CANARY" * 8
JWT = "eyJhbGciOiJub25lIn0" + ".eyJzdWIiOiJjYW5hcnkifQ" + ".c2lnbmF0dXJl"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nCANARYLINE\n-----END RSA PRIVATE KEY-----"

CANARIES = {
    f"the key {KEY_ID} is unknown": KEY_ID,
    f"Credential={SESSION_ID}/20261123/us-east-1": SESSION_ID,
    f"aws_secret_access_key = {SECRET}": SECRET,
    f'{{"SecretAccessKey": "{SECRET}"}}': SECRET,
    f"{{'SessionToken': '{TOKEN}'}}": TOKEN,
    f"x-amz-security-token: {TOKEN}": TOKEN,
    f"https://sts/?X-Amz-Security-Token={TOKEN}&X=1": TOKEN,
    f"https://sts/?X-Amz-Signature={'ca' * 32}&X=1": "ca" * 32,
    f"AWS4-HMAC-SHA256 SignedHeaders=host, Signature={'fe' * 32}": "fe" * 32,
    f"Authorization: Bearer {JWT}": JWT,
    "token k8s-aws-v1.aHR0cHM6Ly9jYW5hcnk": "aHR0cHM6Ly9jYW5hcnk",
    "https://user:canary-pass@proxy:3128/": "canary-pass",
    "PULUMI_CONFIG_PASSPHRASE=canary phrase": "phrase",
    "passphrase: canary-phrase": "canary-phrase",
    'password="canary \\" quoted"': "canary",
    f"loaded {PEM} from disk": "CANARYLINE",
    "loaded -----BEGIN PRIVATE KEY-----\nCANARYCUT": "CANARYCUT",
    f"pul-{'0a' * 20} is a token": "0a" * 20,
}


@pytest.mark.parametrize(("text", "canary"), CANARIES.items(), ids=range(len(CANARIES)))
def test_no_canary_is_left(text: str, canary: str) -> None:
    assert canary in text
    found = redact(text)
    assert canary not in found
    assert REDACTED in found


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::111122223333:role/deployer may not do ec2:CreateVpc",
        "ami-0123456789abcdef0, amazon-eks-node-al2023-x86_64-nvidia-1.35-v20260714",
        "cr-0123456789abcdef0 is active: 2 x p5.48xlarge in us-east-1a",
        "aws service-quotas request-service-quota-increase --quota-code L-DB2E81BA",
        "https://eks.us-east-1.amazonaws.com:443/clusters?name=prod",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_values_of_secret_variables_are_taken_out_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-canary-one")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "canary-canary")
    monkeypatch.setenv("MY_API_TOKEN", "short")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "/run/some-file")
    text = "a canary-canary-one, a canary-canary, a short, /run/some-file"
    assert redact(text) == f"a {REDACTED}, a {REDACTED}, a short, /run/some-file"


def test_a_report_has_no_secrets_in_any_field() -> None:
    finding = Finding("images", "problem", KEY_ID, f"token={TOKEN}", f"use {KEY_ID}")
    text = json.dumps(Report("cluster.x", "", "", (finding,)).as_json())
    assert KEY_ID not in text
    assert TOKEN not in text


def test_the_filter_cleans_messages_arguments_and_tracebacks() -> None:
    stream = io.StringIO()
    logger = logging.getLogger("tests.redaction.child")
    logger.propagate = False
    logger.addHandler(handler(logging.StreamHandler(stream)))
    logger.setLevel(logging.DEBUG)
    logger.debug("key %s, %s", KEY_ID, {"SecretAccessKey": SECRET})
    try:
        int(f"refused {SESSION_ID}")
    except ValueError:
        logger.exception("failed with token=%s", TOKEN)
    said = stream.getvalue()
    assert said.count(REDACTED) >= 4
    for canary in (KEY_ID, SECRET, SESSION_ID, TOKEN):
        assert canary not in said

"""Names of objects of kinds that allow dots, as the API server takes them."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from components.observability.settings import Storage
from components.setting_types import DnsSubdomain
from components.training.hdfs_settings import HdfsArgs
from components.training.volume_settings import Claim

NAMES: TypeAdapter[str] = TypeAdapter(DnsSubdomain)
IMAGE = "host.invalid/hdfs@sha256:" + "0" * 64
DOTTED = "ceph-block.storage.example.com"


@pytest.mark.parametrize(
    "name",
    ["gp3", DOTTED, "9p", "a.b.c", "a-b.c-d", "x" * 253, "a" * 70 + ".b"],
)
def test_a_name_is_a_dns_subdomain(name: str) -> None:
    assert NAMES.validate_python(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a-.b"),
        *("Gp3", "a_b", "a b", "a/b", "gp3\n", "ä", "x" * 254),
    ],
)
def test_what_kubernetes_refuses_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        NAMES.validate_python(name)


def test_every_storage_class_may_have_dots() -> None:
    chosen = {"storage_class": DOTTED}
    assert HdfsArgs(image=IMAGE, **chosen).storage_class == DOTTED
    assert Claim(claim="data", size_gib=1, **chosen).storage_class == DOTTED
    assert Storage(size="1Gi", **chosen).storage_class == DOTTED


@pytest.mark.parametrize("name", ["", "a..b"])
def test_every_storage_class_is_checked(name: str) -> None:
    for settings, more in (
        (HdfsArgs, {"image": IMAGE}),
        (Claim, {"claim": "data", "size_gib": 1}),
        (Storage, {"size": "1Gi"}),
    ):
        with pytest.raises(ValidationError, match="storage_class"):
            settings(storage_class=name, **more)

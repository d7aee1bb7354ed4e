"""Admission distinguishes the waker's EndpointSlices from other controllers'."""

from __future__ import annotations

import re

from components import naming
from tests.support import platform
from toolchain import paths

KIND = "ValidatingAdmissionPolicy"


def test_it_holds_in_the_namespaces_of_models() -> None:
    found = platform.rendered(namespaces={"models": ["two", "one"]})
    binding = platform.only(found, f"{KIND}Binding", "waker-slices")["spec"]
    (chosen,) = binding["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert chosen["values"] == ["one", "two"]
    assert binding["validationActions"] == ["Deny"]
    policy = platform.only(found, KIND, "waker-slices")["spec"]
    assert policy["failurePolicy"] == "Fail"
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert rule["operations"] == ["CREATE", "UPDATE", "DELETE"]


def test_the_label_is_what_the_waker_writes() -> None:
    text = (paths.ROOT / "images/waker/waker/cluster.py").read_text()
    assert re.findall(r'(?m)^MANAGER = "(.+)"$', text) == [naming.WAKER_MANAGER]
    assert '_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"' in text

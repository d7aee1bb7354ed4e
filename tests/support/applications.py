"""Strategies for applications' settings, and checks that pods get them."""

from __future__ import annotations

import ipaddress
from typing import Any

from hypothesis import strategies as st

from tests.support import kubernetes

Draw = Any
Config = dict[str, Any]
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
VARIABLES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
SECRET_NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
KEYS = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}", fullmatch=True)
# All but NUL, which no variable can hold.
VALUES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=30
) | st.sampled_from(["$(A)", "$$", "$", "a$(B)$$", "30"])
FOLDERS = ("/etc/a", "/etc/a/b", "/etc/a/b/c", "/etc/ab", "/secrets", "/run/c")
LABELS = st.dictionaries(
    st.from_regex(r"([a-z]{1,9}\.io/)?[A-Za-z0-9]{1,10}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,9}[A-Za-z0-9])?", fullmatch=True),
    max_size=2,
)


NOWHERE = [
    ipaddress.ip_network(it) for it in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4")
]
"""Ranges that nobody can be called in, which are refused."""


def targets() -> st.SearchStrategy[Config]:
    addresses = st.integers(0, 2**32 - 1), st.integers(0, 31)
    cidrs = st.builds(ipaddress.ip_network, st.tuples(*addresses), st.just(False))
    cidrs = cidrs.filter(lambda it: not any(it.subnet_of(net) for net in NOWHERE))
    ports = st.lists(st.integers(1, 65535), min_size=1, max_size=3, unique=True)
    more = {"protocol": st.sampled_from(["TCP", "UDP", "SCTP"])}
    return st.fixed_dictionaries(
        {"cidr": cidrs.map(str), "ports": ports}, optional=more
    ) | st.fixed_dictionaries(
        {"namespace": NAMES, "ports": ports}, optional={"pods": LABELS, **more}
    )


def meaning(target: Config) -> str:
    """The same for two that mean the same: TCP is the default."""
    return str(sorted({"protocol": "TCP", "pods": {}, **target}.items()))


@st.composite
def settings(draw: Draw) -> Config:
    """What an application brings: each variable and each file once."""
    names = draw(st.lists(VARIABLES, max_size=6, unique=True))
    plain = names[: draw(st.integers(0, len(names)))]
    files = draw(
        st.lists(
            st.builds("{}/{}".format, st.sampled_from(FOLDERS), KEYS.map("f{}".format)),
            max_size=5,
            unique=True,
        )
    )
    secrets: Config = {}
    for kind, places in (("variables", names[len(plain) :]), ("files", files)):
        for place in places:
            use = secrets.setdefault(draw(SECRET_NAMES), {})
            use.setdefault(kind, {})[place] = draw(KEYS)
    return {
        "environment": {name: draw(VALUES) for name in plain},
        "accept_plain_text": plain,
        "secrets": secrets,
        "egress": draw(st.lists(targets(), max_size=3, unique_by=meaning)),
        "node_selector": draw(LABELS),
        "service_account": {
            "annotations": draw(LABELS),
            "pod_identity": draw(st.booleans()),
        },
    }


def gives_what_is_said(pod: Config, asked: Config) -> None:
    """Each variable once and as it was written; each file from its Secret's key."""
    (container,) = pod["containers"]
    assert len({e["name"] for e in container["env"]}) == len(container["env"])
    told = {e["name"]: e for e in container["env"]}
    for name, value in asked.get("environment", {}).items():
        assert kubernetes.expanded(told[name].get("value", ""), {"A": "x"}) == value
    files = kubernetes.files(pod)
    expected = {}
    for secret, use in asked.get("secrets", {}).items():
        for name, key in use.get("variables", {}).items():
            reference = {"name": secret, "key": key}
            assert told[name]["valueFrom"] == {"secretKeyRef": reference}
        expected |= {file: (secret, key) for file, key in use.get("files", {}).items()}
    assert files == expected
    assert pod.get("nodeSelector", {}) == asked.get("node_selector", {})

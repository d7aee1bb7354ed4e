"""What nodes boot with is what the golden files say; a change is meant or a mistake.

`SLIPWAY_WRITE_GOLDEN=1 pytest tests/unit/test_user_data.py` writes them anew.
"""

from __future__ import annotations

import email
import os
from typing import Any

import pytest
import yaml

from components.cluster.nodes import node_capacity, user_data
from tests.support import pools
from toolchain import paths

FOLDER = paths.ROOT / "tests" / "golden" / "user_data"
CASES: dict[str, dict[str, Any]] = {
    "system": pools.SYSTEM,
    "arm64": {**pools.SYSTEM, "instance_types": ["m7g.large", "m7g.xlarge"]},
    "h100": pools.H100,
    "mig": {
        **pools.H100,
        "instance_types": ["p4d.24xlarge"],
        "gpu": {"mode": "mig", "mig_profile": "1g.5gb"},
    },
    "time-slicing": {
        **pools.H100,
        "instance_types": ["g5.xlarge"],
        "gpu": {"mode": "time_slicing", "replicas": 4},
    },
    "neuron": {**pools.H100, "instance_types": ["inf2.48xlarge"]},
}


def document(case: str) -> str:
    return user_data.managed(pools.pool(CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_golden_file(case: str) -> None:
    golden = FOLDER / f"{case}.txt"
    if os.environ.get("SLIPWAY_WRITE_GOLDEN"):
        golden.write_text(document(case))
    assert document(case) == golden.read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {f.stem for f in FOLDER.iterdir()} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_cloud_init_can_read_it(case: str) -> None:
    message = email.message_from_string(document(case))
    assert message.is_multipart()
    assert message.defects == []
    parts = [part for part in message.walk() if not part.is_multipart()]
    kinds = [part.get_content_type() for part in parts]
    assert kinds[0] == "application/node.eks.aws"
    assert kinds[1:] == (["text/x-shellscript"] if case == "mig" else [])
    config = yaml.safe_load(str(parts[0].get_payload()))
    assert (config["apiVersion"], config["kind"]) == (
        "node.eks.aws/v1alpha1",
        "NodeConfig",
    )


@pytest.mark.parametrize(
    ("vcpus", "millicores"),
    [(1, 60), (2, 70), (4, 80), (8, 90), (48, 190), (96, 310), (192, 550)],
)
def test_cpu_is_set_aside_as_nodeadm_does(vcpus: int, millicores: int) -> None:
    """The numbers are nodeadm's own for its ranges 0-1, 1-2, 2-4 and above."""
    assert node_capacity.reserved_cpu_millicores(vcpus) == millicores


def test_memory_is_set_aside_by_pods() -> None:
    assert node_capacity.reserved_memory_mib(110) == 11 * 110 + 255 == 1465

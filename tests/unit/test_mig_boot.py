"""MIG slices at each boot, with a stand-in for nvidia-smi that forgets like a GPU."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.cluster.nodes import mig_boot

SMI = r"""#!/bin/sh
# State in $GPUS: a file `mode`, and for each GPU a file with its slices, one a line.
cd "$GPUS" || exit 3
[ ! -e no-driver ] || exit 9
echo "$*" >> calls
case "$*" in
  "--query-gpu=index --format=csv,noheader") ls | grep -E '^[0-9]+$' ;;
  "--query-gpu=mig.mode.current --format=csv,noheader") cat mode ;;
  --list-gpus)
    for gpu in [0-9]*; do
      echo "GPU $gpu: NVIDIA A100-SXM4-40GB (UUID: GPU-$gpu)"
      sed 's/.*/  MIG &     Device  0: (UUID: MIG-1)/' "$gpu"
    done ;;
  --multi-instance-gpu=1) [ -e busy ] || echo Enabled > mode ;;
  --gpu-reset) echo Enabled > mode ;;
  "mig --destroy-compute-instance") exit 6 ;;
  "mig --destroy-gpu-instance") for gpu in [0-9]*; do : > "$gpu"; done ;;
  "mig --create-gpu-instance "*)
    grep -q Enabled mode || exit 4
    for gpu in [0-9]*; do
      echo "$3" | tr , '\n' >> "$gpu"
      [ ! -e broken ] || [ "$gpu" != 1 ] || sed -i '$d' "$gpu"
    done ;;
  *) echo "unknown: $*" >&2; exit 9 ;;
esac
"""


@dataclass
class Node:
    """A node with two GPUs and the program as its unit runs it."""

    folder: Path

    def boot(self) -> subprocess.CompletedProcess[str]:
        """A boot: the driver has forgotten the mode and the slices."""
        (self.folder / "mode").write_text("Disabled\n")
        for gpu in "01":
            (self.folder / gpu).write_text("")
        return self.start()

    def start(self) -> subprocess.CompletedProcess[str]:
        (self.folder / "calls").write_text("")
        return subprocess.run(
            ["bash", self.folder / "slipway-mig"],
            env={"PATH": f"{self.folder}:/usr/bin:/bin", "GPUS": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def slices(self) -> dict[str, list[str]]:
        return {gpu: (self.folder / gpu).read_text().split() for gpu in "01"}

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    (tmp_path / "slipway-mig").write_text(mig_boot.program("1g.5gb", 7))
    return Node(tmp_path)


WHOLE = {"0": ["1g.5gb"] * 7, "1": ["1g.5gb"] * 7}


def test_slices_are_cut_at_each_boot(node: Node) -> None:
    for _ in range(2):
        done = node.boot()
        assert done.returncode == 0, done.stderr
        assert node.slices() == WHOLE


def test_slices_that_are_right_are_left_alone(node: Node) -> None:
    node.boot()
    assert node.start().returncode == 0
    assert not [call for call in node.calls if call.startswith(("mig", "--multi"))]


def test_other_slices_are_replaced(node: Node) -> None:
    node.boot()
    (node.folder / "1").write_text("3g.20gb\n")
    assert node.start().returncode == 0
    assert node.slices() == WHOLE


def test_a_gpu_in_use_is_reset_for_the_mode(node: Node) -> None:
    (node.folder / "busy").touch()
    assert node.boot().returncode == 0
    assert "--gpu-reset" in node.calls


def test_the_mode_of_many_gpus_is_read_to_the_end(node: Node) -> None:
    """Else what writes it fails, and with it the answer."""
    node.boot()
    (node.folder / "busy").touch()
    (node.folder / "1").write_text("")
    (node.folder / "mode").write_text("Disabled\n" * 50_000)
    assert node.start().returncode == 0
    assert "--gpu-reset" in node.calls


def test_slices_that_differ_fail_the_unit_and_say_what_there_is(node: Node) -> None:
    (node.folder / "broken").touch()
    done = node.boot()
    assert done.returncode == 1
    assert "are not 7 of 1g.5gb on each GPU" in done.stderr
    assert done.stderr.count("MIG 1g.5gb") == 13


def test_a_node_without_its_driver_fails_the_unit(node: Node) -> None:
    (node.folder / "no-driver").touch()
    assert node.boot().returncode != 0


def test_the_kubelet_does_not_start_without_the_unit() -> None:
    assert mig_boot.requirement().splitlines()[1:] == [
        "Requires=slipway-mig.service",
        "After=slipway-mig.service",
    ]
    assert "Before=kubelet.service" in mig_boot.unit()
    assert "RemainAfterExit=yes" in mig_boot.unit()


def test_the_script_installs_what_it_enables(tmp_path: Path) -> None:
    """As at the first boot, in a folder that stands for the root."""
    text = mig_boot.script("1g.5gb", 7)
    for path in (mig_boot.PROGRAM, mig_boot.UNITS):
        text = text.replace(f" {path}", f" {tmp_path}{path}")
    (tmp_path / "systemctl").write_text('#!/bin/sh\necho "$*" >> "$0.calls"\n')
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "script").write_text(text)
    path = f"{tmp_path}:/usr/bin:/bin"
    subprocess.run(["bash", tmp_path / "script"], env={"PATH": path}, check=True)
    installed = tmp_path / mig_boot.PROGRAM.lstrip("/")
    assert installed.read_text() == mig_boot.program("1g.5gb", 7)
    assert installed.stat().st_mode & 0o777 == 0o755
    unit = tmp_path / mig_boot.UNITS.lstrip("/") / mig_boot.UNIT
    assert unit.read_text() == mig_boot.unit()
    assert (tmp_path / "systemctl.calls").read_text().splitlines() == [
        "daemon-reload",
        "enable --now slipway-mig.service",
    ]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / mig_boot.UNIT
    unit.write_text(mig_boot.unit().replace(mig_boot.PROGRAM, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    mine = [line for line in done.stderr.splitlines() if mig_boot.UNIT in line]
    assert mine == []
    assert done.returncode == 0, done.stderr

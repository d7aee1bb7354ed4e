"""What the lab needs of the machine: errors that say what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lab import ports, requirements
from lab.cgroups import Cgroups
from toolchain import commands
from toolchain.errors import OperatorError
from toolchain.mirror import DebianMirror

MOUNTS_V1 = """\
30 24 0:25 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
32 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
"""
OWN_V1 = "2:cpu,cpuacct:/a/b\n1:name=systemd:/\n0::/user.slice\n"
MOUNTS_V2 = "31 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
URIS = """\
'http://mirror.test/debian/dists/bookworm/InRelease' x 0
'http://mirror.test/debian/dists/bookworm-updates/InRelease' x 0
'http://mirror.test/debian-security/dists/bookworm-security/InRelease' x 0
'https://other.test/apt/dists/nodistro/InRelease' x 0
"""


def test_missing_packages_are_named_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = requirements.missing()
    assert {"mmdebstrap", "iproute2", "openssh-client", "util-linux"} <= set(missing)
    assert len(missing) == len(set(missing))


def test_a_program_on_path_needs_no_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in requirements.PROGRAMS:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(requirements, "FILES", {str(tmp_path / "none"): "keyring"})
    assert requirements.missing() == ["keyring"]


def test_without_root_the_way_to_an_own_cluster_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(OperatorError, match=r"needs root.*KUBECONFIG.*models\.mine"):
        requirements.check_machine()


def test_on_another_system_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(OperatorError, match=r"needs Linux, this is Darwin.*KUBECONFIG"):
        requirements.check_machine()


def test_a_busy_port_names_port_owner_and_variable() -> None:
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(OperatorError) as raised:
            ports.check_free({"gateway": port})
    text = str(raised.value)
    assert f"{port} (gateway): this process, process {os.getpid()}" in text
    assert "SLIPWAY_LAB_PORT_OFFSET" in text
    ports.check_free({"gateway": port})


def test_a_failing_command_says_its_last_lines() -> None:
    with pytest.raises(OperatorError, match=r"ended with 3:\nout of paper"):
        commands.run(["sh", "-c", "echo out of paper >&2; exit 3"])
    with pytest.raises(OperatorError, match="no-such-program is not on PATH"):
        commands.run(["no-such-program"])
    with pytest.raises(OperatorError, match="did not end within"):
        commands.run(["sleep", "10"], timeout_seconds=0.1)


def test_mirrors_are_the_machines_own() -> None:
    mirror = DebianMirror.parse(URIS)
    assert mirror.main == "http://mirror.test/debian"
    assert mirror.security == "http://mirror.test/debian-security"
    first, second = mirror.sources("trixie").splitlines()
    assert first.endswith("http://mirror.test/debian trixie main")
    assert second.endswith("http://mirror.test/debian-security trixie-security main")
    with pytest.raises(OperatorError, match=r"sources\.list"):
        DebianMirror.parse(URIS.splitlines()[3])


def test_an_archive_of_ubuntu_is_not_debians() -> None:
    uris = "".join(
        f"'http://{at}/ubuntu/dists/{suite}/InRelease' name 0\n"
        for at, suite in [("u.test", "noble"), ("s.test", "noble-security")]
    )
    with pytest.raises(OperatorError, match=r"no Debian archive"):
        DebianMirror.parse(uris)
    assert DebianMirror.parse(uris + URIS).main == "http://mirror.test/debian"


def test_groups_lie_below_the_own_ones_on_version_1() -> None:
    tree = Cgroups.parse(MOUNTS_V1, OWN_V1, "lab-1")
    assert [(h.place, h.kind, h.options, h.folder) for h in tree.hierarchies] == [
        (
            "cpu,cpuacct",
            "cgroup",
            "cpu,cpuacct",
            "/sys/fs/cgroup/cpu,cpuacct/a/b/slipway-lab-1",
        ),
        (
            "systemd",
            "cgroup",
            "none,name=systemd",
            "/sys/fs/cgroup/systemd/slipway-lab-1",
        ),
        ("unified", "cgroup2", "", "/sys/fs/cgroup/unified/user.slice/slipway-lab-1"),
    ]


def test_groups_lie_at_the_top_on_version_2() -> None:
    own = "0::/user.slice/session-1.scope\n"
    (hierarchy,) = Cgroups.parse(MOUNTS_V2, own, "lab-1").hierarchies
    assert (hierarchy.place, hierarchy.kind) == ("", "cgroup2")
    assert hierarchy.folder == "/sys/fs/cgroup/slipway-lab-1"


def test_a_machine_without_groups_is_refused() -> None:
    with pytest.raises(OperatorError, match="cgroup"):
        Cgroups.parse("", "", "lab-1")

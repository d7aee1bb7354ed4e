"""A lab of two bare hosts: it boots, repairs itself, and leaves nothing behind."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import cgroups, ports, requirements
from lab.forward import Forwards
from lab.lab import Lab
from lab.processes import ProcessRecord
from lab.settings import LabSettings
from slipway.engine import processes
from toolchain import paths
from toolchain.errors import OperatorError

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or os.geteuid() != 0,
    reason="hosts in namespaces need Linux and root",
)

SETTINGS = LabSettings(workers=1, kubernetes=False)


def machine() -> dict[str, list[str]]:
    """What the machine's own namespaces hold."""
    return {
        "links": shown("ip", "-oneline", "link"),
        "addresses": shown("ip", "-oneline", "address"),
        "routes": shown("ip", "route", "show", "table", "all"),
        "mounts": [m for m in Path("/proc/mounts").read_text().splitlines() if ours(m)],
        "groups": [
            str(p) for p in Path("/sys/fs/cgroup").glob("**/slipway-lifecycle*")
        ],
    }


def ours(mount: str) -> bool:
    return "lifecycle" in mount


def shown(*words: str) -> list[str]:
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    # Lifetimes of addresses count down.
    return [line for line in done.stdout.splitlines() if "valid_lft" not in line]


def records_in(lab: Lab) -> list[ProcessRecord]:
    tree = cgroups.Cgroups.read(lab.folder / "cgroups.json")
    assert tree
    found = [ProcessRecord.of(pid) for pid in tree.pids()]
    return [record for record in found if record]


def children(parent: ProcessRecord) -> list[ProcessRecord]:
    pids = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    found = [ProcessRecord.of(int(pid)) for pid in pids]
    return [record for record in found if record]


def spaces(pid: int) -> set[str]:
    """Namespaces of a process that are not this test's own."""
    own = {str(link.readlink()) for link in Path("/proc/self/ns").iterdir()}
    return {str(link.readlink()) for link in Path(f"/proc/{pid}/ns").iterdir()} - own


def held_namespaces(since: int) -> set[str]:
    """Namespaces of processes that started before this moment (ticks since boot).

    The kernel gives a number that has become free to the next namespace made, by
    another lab for example: those of later processes say nothing.
    """
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        started = processes.start_ticks(int(process.name))
        if started is None or started > since:
            continue
        try:
            found |= {str(link.readlink()) for link in (process / "ns").iterdir()}
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def before() -> dict[str, list[str]]:
    Lab("lifecycle", SETTINGS).wipe()  # left by a test run that was killed
    return machine()


@pytest.fixture(scope="module")
def lab(before: dict[str, list[str]]) -> Iterator[Lab]:
    assert not before["mounts"]
    assert not before["groups"]
    if missing := requirements.missing():
        pytest.fail(f"Debian packages are missing: {' '.join(missing)}")
    lab = Lab("lifecycle", SETTINGS)
    lab.up()
    yield lab
    lab.wipe()


def test_hosts_run_systemd_with_no_failed_unit(lab: Lab) -> None:
    for host in lab.hosts():
        assert host.state() == "running"
        assert host.unwell_units() == []
        assert host.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"


def test_stopped_and_failed_units_are_noticed(lab: Lab) -> None:
    host = lab.host("w1")
    try:
        host.run(["systemctl", "stop", "ssh"])
        host.run(["systemd-run", "--unit=broken", "false"])
        deadline = time.monotonic() + 10
        while host.unwell_units() != ["broken.service", "ssh.service"]:
            assert time.monotonic() < deadline, host.unwell_units()
            time.sleep(0.2)
    finally:
        host.run(["systemctl", "start", "ssh"])
        host.run(["systemctl", "reset-failed", "broken"])
    assert host.unwell_units() == []


def test_hosts_reach_each_other_by_name(lab: Lab) -> None:
    ping = ["ping", "-c1", "-W2"]
    lab.host("cp1").run([*ping, "w1"])
    lab.host("w1").run([*ping, "registry.lab"])


def test_nothing_leads_out(lab: Lab) -> None:
    out = lab.host("w1").run(["ping", "-c1", "-W1", "192.0.2.1"], check=False)
    assert out.returncode != 0


def test_hosts_install_packages_from_the_bound_repository(lab: Lab) -> None:
    host = lab.host("w1")
    host.run(["apt-get", "-q", "update"])
    host.run(["apt-get", "-q", "--yes", "install", "runc"])
    assert "runc version" in host.run(["runc", "--version"]).stdout


def test_the_machine_sees_none_of_it(lab: Lab, before: dict[str, list[str]]) -> None:
    now = machine()
    for what in ("links", "addresses", "routes", "mounts"):
        assert now[what] == before[what]


def test_a_host_cannot_change_the_machines_kernel(lab: Lab) -> None:
    panic = Path("/proc/sys/kernel/panic").read_text()
    host = lab.host("w1")
    host.run(["sysctl", "-w", "kernel.panic=7"])
    assert host.run(["sysctl", "-n", "kernel.panic"]).stdout == "7\n"
    assert Path("/proc/sys/kernel/panic").read_text() == panic
    refused = host.run(["sysctl", "-w", "vm.swappiness=1"], check=False)
    assert refused.returncode != 0


def test_a_loopback_port_leads_into_the_lab(lab: Lab) -> None:
    settings = replace(SETTINGS, port_offset=20000)
    serve = "python3 -m http.server --directory /etc/apt 6443"
    lab.host("cp1").run(["systemd-run", "--unit=web", *serve.split()])
    forwards = Forwards(lab.folder)
    try:
        assert forwards.up(settings)
        assert not forwards.up(settings)
        first = forwards.process
        assert first
        assert "file:/opt/slipway/repo" in fetched(settings, "/sources.list")
        with pytest.raises(OperatorError, match=r"26443 \(api\): \S+, process \d+"):
            ports.check_free(settings.ports())
        (serving,) = children(first)
        os.kill(serving.pid, signal.SIGKILL)
        assert serving.wait(10)
        with socket.create_connection(("127.0.0.1", settings.ports()["api"]), 10):
            pass  # never refused: the listening socket outlives the process
        assert "file:/opt/slipway/repo" in fetched(settings, "/sources.list")
        assert "ended with -9" in forwards.service.log.read_text()
        assert forwards.process == first
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait(10)
        assert forwards.up(settings)
        assert "file:/opt/slipway/repo" in fetched(settings, "/sources.list")
    finally:
        forwards.service.stop()
        lab.host("cp1").run(["systemctl", "stop", "web"])
    ports.check_free(settings.ports())


def fetched(settings: LabSettings, path: str) -> str:
    """What a web server on the control plane's 6443 answers; waits for its start."""
    deadline = time.monotonic() + 20
    while True:
        try:
            address = f"http://127.0.0.1:{settings.ports()['api']}{path}"
            with urllib.request.urlopen(address, timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_up_again_changes_nothing(lab: Lab) -> None:
    inits = [host.init for host in lab.hosts()]
    start = time.monotonic()
    assert lab.up() == ""
    assert time.monotonic() - start < 20
    assert [host.init for host in lab.hosts()] == inits


def test_a_reboot_from_inside_boots_the_host_again(lab: Lab) -> None:
    host = lab.host("w1")
    first = host.init
    assert first
    host.run(["systemctl", "reboot"], check=False)
    assert first.wait(30)
    deadline = time.monotonic() + 30
    while host.state() != "running":
        assert time.monotonic() < deadline, host.state()
        time.sleep(0.2)
    assert host.init != first
    lab.host("cp1").run(["ping", "-c1", "-W2", "w1"])


def test_up_repairs_a_host_whose_process_1_was_killed(lab: Lab) -> None:
    host = lab.host("w1")
    other, killed = lab.host("cp1").init, host.init
    assert killed
    host.run(["touch", "/root/kept"])
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait(10)
    assert lab.up() == "booted w1"
    assert lab.host("cp1").init == other
    assert host.run(["ls", "/root"]).stdout == "kept\n"


def test_up_repairs_a_host_whose_supervisor_was_killed(lab: Lab) -> None:
    host = lab.host("w1")
    init, supervisor = host.init, host.supervisor
    assert init
    assert supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    assert init.wait(10), "a host outlived its supervisor"
    assert lab.up() == "booted w1"


def test_up_repairs_the_network_under_running_hosts(lab: Lab) -> None:
    holder = lab.network.holder
    inits = [host.init for host in lab.hosts()]
    assert holder
    os.kill(holder.pid, signal.SIGKILL)
    assert holder.wait(10)
    assert lab.up() == "made the network"
    assert [host.init for host in lab.hosts()] == inits
    lab.host("cp1").run(["ping", "-c1", "-W2", "w1"])


def test_up_repairs_what_a_killed_up_left(lab: Lab) -> None:
    lab.down()
    program = (
        "from lab.lab import Lab; from lab.settings import LabSettings; "
        f"Lab('lifecycle', {SETTINGS!r}).up()"
    )
    for seconds in (0.3, 0.6, 0.9, 1.5):
        words = [sys.executable, "-c", program]
        with subprocess.Popen(words, cwd=paths.ROOT) as process:
            time.sleep(seconds)
            process.kill()
    lab.up()
    assert [host.state() for host in lab.hosts()] == ["running", "running"]
    lab.host("cp1").run(["ping", "-c1", "-W2", "w1"])
    names = [record.pid for record in records_in(lab)]
    supervisors = [
        pid
        for pid in names
        if b"lab.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(supervisors) == 2 * len(lab.hosts()), "a killed up left supervisors"


def test_another_labs_down_leaves_this_one_alone(lab: Lab) -> None:
    inits = [host.init for host in lab.hosts()]
    other = Lab("lifecycle-2", SETTINGS)
    try:
        other.up()
        assert other.host("w1").state() == "running"
    finally:
        other.wipe()
    assert not other.folder.exists()
    assert [host.init for host in lab.hosts()] == inits
    assert [host.state() for host in lab.hosts()] == ["running", "running"]


def test_down_leaves_nothing(lab: Lab, before: dict[str, list[str]]) -> None:
    lab.up()
    records = records_in(lab)
    namespaces = set().union(*(spaces(record.pid) for record in records))
    assert len(records) > 10
    assert len(namespaces) > 10
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    since = int(uptime * os.sysconf("SC_CLK_TCK"))
    lab.down()
    assert [record for record in records if record.is_alive] == []
    assert namespaces & held_namespaces(since) == set()
    assert machine() == before
    lab.down()  # of a lab that is down: nothing to do


def test_up_after_down_keeps_the_disks(lab: Lab) -> None:
    lab.up()
    assert lab.host("w1").run(["ls", "/root"]).stdout == "kept\n"

"""Boots one host, and boots it again when it asks the kernel for a reboot.

    python -m lab.supervisor SPEC   the file that lab.host wrote

Three processes: this supervisor in the machine's namespaces; a parent that unshared the
host's namespaces; and the host's process 1, which becomes systemd. Each dies with the
one before it, so that no part of a host is left without its supervisor.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lab import host_root, linux
from lab.cgroups import Cgroups
from lab.host_spec import HostSpec
from lab.network import Network
from lab.processes import ProcessRecord

# reboot(2): in a pid namespace RESTART ends process 1 as if by SIGHUP.
REBOOT = 128 + signal.SIGHUP
_LINK_MINIMUM_SECONDS = 1.0


def main(spec_path: Path) -> None:
    """Runs the host until it powers off or is killed."""
    HostSpec.parse(spec_path.read_text()).service.hold()
    while True:
        # Read anew at each boot: what changed takes effect then.
        spec = HostSpec.parse(spec_path.read_text())
        start = time.monotonic()
        status = boot(spec)
        _say(f"{spec.host.name}: process 1 ended with {status}")
        if status != REBOOT:
            return
        time.sleep(max(0.0, start + _LINK_MINIMUM_SECONDS - time.monotonic()))


def boot(spec: HostSpec) -> int:
    """Boots the host once; returns the status of its process 1 at its end."""
    Cgroups(spec.hierarchies).create(spec.group)
    pid_out, pid_in = os.pipe()
    go_out, go_in = os.pipe()
    supervisor = os.getpid()
    parent = os.fork()
    if parent == 0:
        os.close(pid_out)
        os.close(go_in)
        _run(lambda: _parent(spec, supervisor, pid_in, go_out))
    os.close(pid_in)
    os.close(go_out)
    init_record = spec.folder / "init.json"
    with os.fdopen(pid_out) as pids, os.fdopen(go_in, "w") as go:
        line = pids.readline()
        if line:
            init = int(line)
            Network(spec.lab).link(spec.host, init, spec.others)
            record = ProcessRecord.of(init)
            if record:
                record.write(init_record)
            go.write("go\n")
    if line:
        spec.service.ready()
    status = os.waitstatus_to_exitcode(os.waitpid(parent, 0)[1])
    init_record.unlink(missing_ok=True)
    return status


def _parent(spec: HostSpec, supervisor: int, pid_in: int, go_out: int) -> int:
    linux.die_with_parent(supervisor)
    names = linux.Namespaces
    linux.unshare(names.MOUNT | names.PID | names.UTS | names.IPC | names.NETWORK)
    init = os.fork()
    if init == 0:
        os.close(pid_in)
        _run(lambda: _init(spec, go_out))
    os.close(go_out)
    os.write(pid_in, f"{init}\n".encode())
    os.close(pid_in)
    status = os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])
    return 128 - status if status < 0 else status


def _init(spec: HostSpec, go_out: int) -> NoReturn:
    linux.die_with_parent(0)  # the parent is outside this pid namespace
    os.setsid()
    with os.fdopen(go_out) as go:
        if go.readline() != "go\n":
            os._exit(1)
    Cgroups(spec.hierarchies).join(spec.group)
    linux.unshare(linux.Namespaces.CGROUP)
    host_root.enter(spec)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    environment = {
        "container": "slipway",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    os.execve("/sbin/init", ["/sbin/init"], environment)  # noqa: S606


def _run(work: Callable[[], int]) -> NoReturn:
    """Ends a forked process with the result of its work, never returning into main."""
    status = 1
    try:
        status = work()
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

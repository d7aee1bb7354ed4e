"""One host of a lab: boots, stops, and runs commands in it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.cgroups import Cgroups
from lab.host_spec import HostSpec
from lab.network import Network
from lab.processes import ProcessRecord, alive
from toolchain import whole_files
from toolchain.errors import OperatorError

BOOT_SECONDS = 120.0
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.1
PATH = "/opt/slipway/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Host:
    """The host whose disk and records lie in `folder`, named after it."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def spec_path(self) -> Path:
        return self.folder / "spec.json"

    @property
    def upper(self) -> Path:
        """Return the host's changes of the shared base; readable while it runs."""
        return self.folder / "upper"

    @property
    def supervisor(self) -> ProcessRecord | None:
        return alive(self.folder / "supervisor.json")

    @property
    def init(self) -> ProcessRecord | None:
        """The host's process 1 as the machine sees it; None if it is down."""
        return alive(self.folder / "init.json")

    def spec(self) -> HostSpec | None:
        """Return the specification of the last boot; None if it never booted."""
        if not self.spec_path.is_file():
            return None
        return HostSpec.parse(self.spec_path.read_text())

    def start(self, spec: HostSpec) -> bool:
        """Boots the host and waits until systemd is done; False if it already was so.

        A host that runs with another specification is booted anew, unless only its
        neighbours changed. One whose network was lost is plugged in again.
        """
        if self._serves(spec):
            if self.spec() != spec:
                self._write(spec)
                self.run(["tee", "/etc/hosts"], text=spec.hosts_file)
            return False
        self.stop()
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._write(spec)
        spec.service.start(self.spec_path)
        self.wait_until_booted()
        return True

    def _serves(self, spec: HostSpec) -> bool:
        """Whether it runs as specified, but for neighbours; reconnects its network."""
        old, init = self.spec(), self.init
        if not (old and init and self.supervisor):
            return False
        if replace(old, all_hosts=spec.all_hosts) != spec:
            return False
        try:
            Network(spec.lab).link(spec.host, init.pid, spec.others)
            self.wait_until_booted()
        except OperatorError:
            return False
        return True

    def _write(self, spec: HostSpec) -> None:
        whole_files.write(self.spec_path, spec.text())

    def wait_until_booted(self) -> None:
        """Waits until systemd has started all units; an error names what failed."""
        deadline = time.monotonic() + BOOT_SECONDS
        while (state := self._booted(deadline)) not in ("running", "degraded"):
            if time.monotonic() > deadline or self.supervisor is None:
                log = self.folder / "supervisor.log"
                said = "\n".join(log.read_text().splitlines()[-10:])
                raise OperatorError(
                    f"host {self.name} did not boot (systemd says {state or 'nothing'}"
                    f"; {log}):\n{said}"
                )
            time.sleep(_POLL_SECONDS)

    def _booted(self, deadline: float) -> str:
        """The state after the boot; what is known so far if it takes longer."""
        left = max(1.0, deadline - time.monotonic())
        wait = ["timeout", f"{left:.0f}", "systemctl", "is-system-running", "--wait"]
        if self.init is None:
            return ""
        done = self.run(wait, check=False, timeout_seconds=left + 10)
        return done.stdout.strip() or self.state()

    def state(self) -> str:
        """What `systemctl is-system-running` says; empty if there is no answer."""
        if self.init is None:
            return ""
        done = self.run(["systemctl", "is-system-running"], check=False)
        return done.stdout.strip()

    def unwell_units(self) -> list[str]:
        """Services that failed, or that are enabled and yet do not run."""
        wants = [
            "systemctl",
            "show",
            "--property=Wants",
            "--value",
            "multi-user.target",
        ]
        # By name too: a pattern finds only units that systemd has loaded.
        units = [u for u in self.run(wants).stdout.split() if u.endswith(".service")]
        properties = "--property=Id,Type,ActiveState,UnitFileState"
        show = ["systemctl", "show", properties, *units, "*.service"]
        shown = self.run(show).stdout
        unwell = []
        for block in shown.strip().split("\n\n"):
            unit = dict(line.split("=", 1) for line in block.splitlines())
            stopped = unit["ActiveState"] == "inactive" and unit["Type"] != "oneshot"
            wanted = unit.get("UnitFileState") == "enabled"
            if unit["ActiveState"] == "failed" or (stopped and wanted):
                unwell.append(unit["Id"])
        return sorted(set(unwell))

    def command(self, words: Sequence[str]) -> list[str]:
        """The command that runs `words` inside the host, in all its namespaces."""
        init = self.init
        if init is None:
            raise OperatorError(f"host {self.name} is down; run `python -m lab up`")
        enter = ["nsenter", "--target", str(init.pid), "--root", "--wd"]
        enter += ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        clean = ["env", "--ignore-environment", "HOME=/root", f"PATH={PATH}"]
        return [*enter, *clean, "TERM=dumb", "LANG=C.UTF-8", *words]

    def run(
        self,
        words: Sequence[str],
        *,
        check: bool = True,
        timeout_seconds: float = 60,
        text: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the host; `text` is its standard input."""
        try:
            done = subprocess.run(
                self.command(words),
                input=text or "",
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise OperatorError(
                f"{self.name}: {' '.join(words)} did not end in {timeout_seconds:.0f} s"
            ) from error
        if check and done.returncode:
            raise OperatorError(
                f"{self.name}: {' '.join(words)} ended with {done.returncode}:\n"
                f"{done.stderr.strip() or done.stdout.strip()}"
            )
        return done

    def stop(self) -> bool:
        """Kill the host at once, like a power failure; False if it was down.

        Process 1 ends by SIGKILL and its whole pid namespace with it.
        """
        init, supervisor = self.init, self.supervisor
        if init:
            init.signal(signal.SIGKILL)
        if init and not init.wait(STOP_SECONDS):
            raise OperatorError(f"host {self.name}: process {init.pid} does not end")
        if supervisor:
            supervisor.wait(1.0)
        spec = self.spec()
        if spec:
            # Whatever a killed command left half started: supervisor, then host.
            groups = Cgroups(spec.hierarchies)
            for group in (spec.service.group, spec.group):
                groups.kill(group)
                groups.remove(group)
        for name in ("init.json", "supervisor.json"):
            (self.folder / name).unlink(missing_ok=True)
        return bool(init or supervisor)

    def delete(self) -> None:
        """Deletes the stopped host's disk."""
        shutil.rmtree(self.folder)

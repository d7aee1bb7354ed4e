"""The lab: hosts with systemd on this machine, and Kubernetes on them."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab import (
    cgroups,
    host_binaries,
    inventory,
    playbook,
    ports,
    repository,
    requirements,
    rootfs,
    sysctls,
)
from lab.cgroups import Cgroups
from lab.cluster import Cluster
from lab.forward import Forwards
from lab.host import Host
from lab.host_spec import HostSpec
from lab.network import Network
from lab.playbook import PlaybookResult
from lab.settings import CONTROL_PLANE, HostSettings, LabSettings
from lab.ssh import Keys
from toolchain import builds, paths
from toolchain.errors import OperatorError
from toolchain.locks import locked

Report = Callable[[str, float], None]
"""Called with a phase's name and its seconds when the phase is over."""

PLAYBOOK = playbook.PLAYBOOKS / "lab.yml"
FIRST_READY_SECONDS = 180.0
WARM_READY_SECONDS = 90.0
HEALTHY_SECONDS = 15.0
HEARTBEAT = timedelta(seconds=30)


@dataclass
class _Phases:
    """Times the phases of `up` and gathers what they changed."""

    report: Report
    changes: list[str] = field(default_factory=list)
    booted: bool = False
    begin: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def heartbeat_since(self) -> datetime:
        """A node is healthy if its kubelet reported since then (it does each 10 s)."""
        return self.begin if self.booted else self.begin - HEARTBEAT

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.report(name, time.monotonic() - start)


class Lab:
    """One lab of this machine. Several can be up at once, with other loopback ports.

    All of its state is in `folder`; what runs of it is found there and in its
    control groups, so that any command can go on after any other was killed.
    """

    def __init__(self, name: str = "lab", settings: LabSettings | None = None) -> None:
        self.name = name
        self.settings = settings or LabSettings.from_environment()
        self.folder = labs_folder() / name
        self.network = Network(self.folder)
        self.keys = Keys(self.folder)
        self.inventory = self.folder / "inventory.yml"
        self.kubeconfig = self.folder / "kubeconfig"
        self.cluster = Cluster(self.kubeconfig)
        self._forwards = Forwards(self.folder)

    # What is there

    def host(self, name: str) -> Host:
        """A host by its name; OperatorError if the lab never had it."""
        host = Host(self.folder / "hosts" / name)
        if not host.folder.is_dir():
            known = ", ".join(h.name for h in self.hosts()) or "none"
            raise OperatorError(f"lab {self.name} has no host {name}; it has: {known}")
        return host

    def hosts(self) -> list[Host]:
        """All hosts that have a disk, running or not."""
        found = (self.folder / "hosts").glob("*/")
        return [Host(folder) for folder in sorted(found)]

    def status(self) -> list[str]:
        """Lines for a person: hosts, nodes, ports."""
        if not self.hosts():
            return [f"lab {self.name}: no hosts; `python -m lab up` makes them"]
        lines = []
        try:
            nodes = self.cluster.nodes() if self._forwards.process else {}
        except OperatorError:
            nodes = {}
        for host in self.hosts():
            init, spec = host.init, host.spec()
            address = spec.host.address if spec else ""
            state = f"{host.state()}, process {init.pid}" if init else "down"
            node = {True: ", node Ready", False: ", node NotReady"}
            lines.append(
                f"{host.name:5} {address:13} {state}"
                + (node[nodes[host.name]] if host.name in nodes else "")
            )
        if self._forwards.process:
            for name, port in self.settings.ports().items():
                lines.append(f"{name:13} {ports.LOOPBACK}:{port}")
        return lines

    # Up

    def up(
        self,
        *,
        configure: bool = False,
        report: Report = lambda _phase, _seconds: None,
        building: builds.Report = lambda *_: None,
    ) -> str:
        """Brings the lab up, whatever state it is in; returns what was changed.

        `configure` runs the playbook even where nothing it depends on has changed;
        `building` is called with programs that have to be built first.
        """
        requirements.check()
        phases = _Phases(report)
        with self._locked():
            if self.settings.kubernetes and not self._forwards.process:
                ports.check_free(self.settings.ports())
            with phases.phase("base and packages"):
                binds = self._prepare(building)
            with phases.phase("network"):
                tree = self._own_groups()
                sysctls.raise_for(str(self.folder))
                if self.network.up():
                    phases.changes.append("made the network")
            with phases.phase("hosts"):
                self._boot(tree, binds, phases)
            inventory.write(self.inventory, self.settings, self.keys)
            if self.settings.kubernetes:
                self._kubernetes(binds, configure, phases)
        return ", ".join(phases.changes)

    def _prepare(self, building: builds.Report) -> dict[str, Path]:
        images = paths.cache() / "host-images"
        images.mkdir(parents=True, exist_ok=True)
        rootfs.make()
        repo = repository.make(self.settings.packages)
        binds = {"opt/slipway/repo": repo, "opt/slipway/images": images}
        if self.settings.kubernetes:
            binds["opt/slipway/bin"] = host_binaries.make(building)
        return binds

    def _own_groups(self) -> Cgroups:
        kept = self.folder / "cgroups.json"
        tree = Cgroups.read(kept)
        if tree is None or not all(h.path().is_dir() for h in tree.hierarchies):
            tree = Cgroups.discover(self._identity)
            tree.write(kept)
        tree.create(cgroups.SERVICES)
        tree.create(cgroups.HOSTS)
        tree.create(cgroups.RUNS)
        tree.kill(cgroups.RUNS)  # a playbook whose `up` was killed
        return tree

    @property
    def _identity(self) -> str:
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()
        return f"{self.name}-{digest[:8]}"

    def _boot(self, tree: Cgroups, binds: dict[str, Path], phases: _Phases) -> None:
        self.keys.make()
        wanted = self.settings.hosts()
        specs = [self._spec(host, tree, binds) for host in wanted]
        hosts = [Host(spec.folder) for spec in specs]
        for host in hosts:
            self.keys.install(host)
        self.keys.write_known_hosts(list(zip(wanted, hosts, strict=True)))
        names = {host.name for host in hosts}
        phases.changes += [
            f"stopped {host.name}"
            for host in self.hosts()
            if host.name not in names and host.stop()
        ]
        with ThreadPoolExecutor(len(hosts)) as pool:
            booted = list(pool.map(Host.start, hosts, specs))
        fresh = [host.name for host, new in zip(hosts, booted, strict=True) if new]
        if fresh:
            phases.booted = True
            phases.changes.append(f"booted {', '.join(fresh)}")

    def _spec(
        self, host: HostSettings, tree: Cgroups, binds: dict[str, Path]
    ) -> HostSpec:
        folder = self.folder / "hosts" / host.name
        return HostSpec(
            host=host,
            all_hosts=tuple(self.settings.hosts()),
            lab=self.folder,
            folder=folder,
            rootfs=_base_of(Host(folder)),
            hierarchies=tuple(
                cgroups.Hierarchy(h.place, h.kind, h.options, h.folder)
                for h in tree.hierarchies
            ),
            binds=binds,
        )

    def _kubernetes(
        self, binds: dict[str, Path], configure: bool, phases: _Phases
    ) -> None:
        kept = self.folder / "configured"
        digest = self._digest(binds)
        if not configure and kept.is_file() and kept.read_text() == digest:
            with phases.phase("nodes"):
                if self._is_healthy(phases):
                    return
        with phases.phase("configure"):
            kept.unlink(missing_ok=True)
            result = self.run_playbook(PLAYBOOK)
            result.check()
            if result.changes:
                phases.changes.append(f"configured ({result.changes} changes)")
        with phases.phase("nodes"):
            self._connect(phases)
            self._wait(FIRST_READY_SECONDS, phases)
            names = {host.name for host in self.settings.hosts()}
            for host in self.hosts():
                if host.name not in names:
                    self.cluster.forget(host.name)
        kept.write_text(digest)

    def _is_healthy(self, phases: _Phases) -> bool:
        """Return whether nodes, units and registry work without the playbook."""
        try:
            self._connect(phases)
            limit = WARM_READY_SECONDS if phases.booted else HEALTHY_SECONDS
            self._wait(limit, phases)
            hosts = [self.host(host.name) for host in self.settings.hosts()]
            return self._registry_answers() and not any(
                host.unwell_units() for host in hosts
            )
        except OperatorError:
            return False

    def _registry_answers(self) -> bool:
        registry = http.client.HTTPConnection(
            ports.LOOPBACK, self.settings.ports()["registry"], timeout=5
        )
        try:
            registry.request("GET", "/v2/")
            return registry.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            registry.close()

    def _connect(self, phases: _Phases) -> None:
        if self._forwards.up(self.settings):
            phases.changes.append("opened ports on loopback")
        admin = self.host(CONTROL_PLANE).upper / "etc/kubernetes/admin.conf"
        if not admin.is_file():
            raise OperatorError(f"{PLAYBOOK} left no {admin}")
        self.cluster.write_kubeconfig(admin, self.settings.ports()["api"])

    def _wait(self, timeout_seconds: float, phases: _Phases) -> None:
        names = [host.name for host in self.settings.hosts()]
        self.cluster.wait_for_nodes(names, timeout_seconds, phases.heartbeat_since)

    def _digest(self, binds: dict[str, Path]) -> str:
        """Return the digest of all inputs of the hosts' configuration."""
        digest = hashlib.sha256(json.dumps(binds, default=str).encode())
        digest.update(repr(self.settings.hosts()).encode())
        sources = [p for p in sorted(playbook.PLAYBOOKS.rglob("*")) if p.is_file()]
        for path in (p for p in sources if p.parent.name != "__pycache__"):
            digest.update(str(path.relative_to(playbook.PLAYBOOKS)).encode())
            digest.update(path.read_bytes())
        for path in sorted(binds["opt/slipway/images"].iterdir()):
            digest.update(f"{path.name} {path.stat().st_size}".encode())
        return digest.hexdigest()

    def run_playbook(
        self,
        path: Path,
        *arguments: str,
        check: bool = False,
        each_line: Callable[[str], None] = lambda _: None,
    ) -> PlaybookResult:
        """Runs a playbook on the running hosts; `check` only says what would change."""
        words = [*arguments, *(["--check", "--diff"] if check else [])]
        return playbook.run(
            self.folder, path, words, inventory=self.inventory, each_line=each_line
        )

    # Down

    def down(self) -> None:
        """Ends all that runs of the lab and leaves nothing of it but its disks."""
        requirements.check_machine()
        trees = [Cgroups.discover(self._identity)]
        if self.folder.is_dir():
            with self._locked():
                if kept := Cgroups.read(self.folder / "cgroups.json"):
                    trees.append(kept)
                self._end(trees)
                sysctls.restore_for(str(self.folder))
        else:
            self._end(trees)

    def _end(self, trees: list[Cgroups]) -> None:
        hosts = self.hosts()
        if hosts:
            with ThreadPoolExecutor(len(hosts)) as pool:
                list(pool.map(Host.stop, hosts))
        for tree in trees:
            tree.kill()
            tree.remove()
        for name in ("network.json", "forward.json", "cgroups.json"):
            (self.folder / name).unlink(missing_ok=True)

    def wipe(self) -> None:
        """Takes the lab down and deletes its disks, keys and kubeconfig."""
        self.down()
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Beside the folder: wipe deletes that.
        with locked(labs_folder() / f".{self.name}.lock"):
            self.folder.mkdir(mode=0o700, exist_ok=True)
            yield


def labs_folder() -> Path:
    """Return the folder with the state of all labs, one folder each."""
    return paths.state() / "labs"


def all_labs() -> list[Lab]:
    """Every lab that has state on this machine."""
    found = sorted(p for p in labs_folder().glob("*/") if not p.name.startswith("."))
    return [Lab(folder.name) for folder in found]


def _base_of(host: Host) -> Path:
    """The base below a host's disk: what it was made on, for a new one today's."""
    spec = host.spec()
    if spec is None or not any(host.upper.glob("var")):
        return rootfs.folder()
    if not rootfs.is_made(spec.rootfs.name):
        raise OperatorError(
            f"the disk of {host.name} is based on {spec.rootfs}, which is gone; "
            "`python -m lab wipe`, then `up`, makes new hosts"
        )
    return spec.rootfs

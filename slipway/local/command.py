"""`slipway local`: everything on this machine, from nothing to a served model.

The phases of `up`, each skipped where its result stands: Debian packages, programs
(from PATH, downloaded or built), container images with the model among them, the lab's
hosts and cluster, the stacks `platform.lab` and `models.lab`, and one real prediction.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table

import lab
from components.contracts import HEADERS
from components.platform import own_ca
from lab import requirements
from lab.settings import LabSettings
from slipway import images, progress
from slipway.engine.engine import Engine
from slipway.local import disk, record
from toolchain import builds, programs

STACKS = ("platform.lab", "models.lab")
PREDICTION_PATH = "/employment/v1/infer"
READY_TIMEOUT_SECONDS = 120.0


@dataclass
class Phases:
    """The phases of `up` so far: seconds and changes, by phase."""

    console: Console
    done: list[tuple[str, float, str]] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[Callable[[str], None]]:
        """Times the block; the block says what it changed, nothing means no change."""
        changes: list[str] = []
        start = time.monotonic()
        self.console.print(f"[bold]{name}[/bold] ...")
        yield changes.append
        seconds = time.monotonic() - start
        said = ", ".join(changes)
        self.done.append((name, seconds, said))
        self.console.print(f"  {said or 'nothing to do'} ({seconds:.1f} s)")

    def tell(self, what: str, text: str) -> None:
        """A line of progress within a phase."""
        self.console.print(f"  {what}: {text}", highlight=False, markup=False)

    def tell_seconds(self, step: str, seconds: float) -> None:
        self.tell(step, f"{seconds:.1f} s")

    @property
    def said(self) -> dict[str, str]:
        """Return the changes of each phase, by its name."""
        return {name: said for name, _, said in self.done}

    @property
    def changed(self) -> bool:
        return any(said for _, _, said in self.done)


def get_programs(say: Callable[[str], None]) -> dict[str, programs.Programs]:
    """Get the missing programs; `say` is called with their sources."""
    with progress.packages() as report:
        return programs.get_all(builds.of_the_lab(), say, report)


def _got(found: Iterable[programs.Programs]) -> str:
    """Return the newly obtained programs, by source; empty if all existed."""
    by_source: dict[programs.Source, list[str]] = {}
    for one in found:
        if one.seconds:
            by_source.setdefault(one.source, []).append(one.group.name)
    did = {programs.Source.DOWNLOAD: "downloaded", programs.Source.BUILD: "built"}
    return ", ".join(f"{did[k]} {' '.join(names)}" for k, names in by_source.items())


def predict(url: str, row: list[float]) -> httpx.Response:
    """Asks the model for one row; waits while the gateway takes its first routes."""
    body = {
        "inputs": [
            {"name": "input", "shape": [1, len(row)], "datatype": "FP32", "data": row}
        ]
    }
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while True:
        try:
            response = httpx.post(url, json=body, timeout=5)
            if response.status_code == httpx.codes.OK:
                return response
            problem = f"{response.status_code} {response.text[:200]}"
        except httpx.HTTPError as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"{url} gave no prediction within {READY_TIMEOUT_SECONDS:.0f} s: "
                f"{problem}\nLook: slipway local status; kubectl -n models get pods"
            )
        time.sleep(1)


def up(console: Console) -> Phases:
    """Brings all up; running it again repairs what is missing and changes no more."""
    phases = Phases(console)
    with phases.phase("Debian packages") as say:
        if missing := requirements.missing():
            requirements.install(missing)
            say(f"installed {' '.join(missing)}")
    with phases.phase("Programs") as say:
        got = get_programs(lambda text: progress.say(console, f"  {text}"))
        if said := _got(got.values()):
            say(said)
    with phases.phase("Container images, the model among them") as say:
        if made := images.build(report=phases.tell):
            say(f"built {' '.join(made)}")
        images.host_archives()
    with phases.phase("Hosts and Kubernetes") as say:
        if changed := lab.Lab().up(report=phases.tell_seconds):
            say(changed)
    with phases.phase("Images into the lab's registry") as say:
        if pushed := images.push(report=phases.tell):
            say(f"pushed {' '.join(pushed)}")
    for stack in STACKS:
        with phases.phase(f"Stack {stack}") as say:
            result = Engine(console=console).up(stack, shortcut=True)
            changes = {k: n for k, n in result.changes.items() if k != "same" and n}
            if changes:
                say(", ".join(f"{n} {what}" for what, n in changes.items()))
    return phases


def urls(settings: LabSettings) -> dict[str, str]:
    """Addresses on loopback by name."""
    encrypted = ("api", "gateway-tls")
    return {
        name: f"http{'s' if name in encrypted else ''}://127.0.0.1:{port}"
        for name, port in settings.ports().items()
    }


def files() -> dict[str, str]:
    """Files that a client of the lab needs, by name."""
    found = {"kubeconfig": lab.Lab().kubeconfig}
    authority = own_ca.authority_file(STACKS[0])
    if authority.is_file():
        found["gateway CA"] = authority
    return {name: str(path) for name, path in found.items()}


def example_row() -> list[float]:
    """One real row of the model's reference statistics: its typical person."""
    path = images.model_folder("employment") / "reference.json"
    row: list[float] = json.loads(path.read_text())["example"]
    return row


def print_prediction(console: Console, settings: LabSettings) -> None:
    url = urls(settings)["gateway"] + PREDICTION_PATH
    response = predict(url, example_row())
    answer: dict[str, Any] = response.json()
    probability = next(o for o in answer["outputs"] if o["name"] == "probability")
    console.print(
        f"\n[bold]One prediction[/bold]: POST {url}\n"
        f"  employed with probability {probability['data'][-1]:.3f}, "
        f"model {answer['model_name']} version {answer['model_version']}, "
        f"revision {response.headers[HEADERS['revision']]}, "
        f"request {response.headers[HEADERS['request_id']]}"
    )


def print_summary(console: Console, phases: Phases, settings: LabSettings) -> None:
    table = Table("phase", "seconds", "changed", title="What was done")
    for name, seconds, said in phases.done:
        table.add_row(name, f"{seconds:.1f}", said or "-")
    total = sum(seconds for _, seconds, _ in phases.done)
    table.add_row("[bold]all[/bold]", f"[bold]{total:.1f}[/bold]", "")
    console.print(table)
    print_addresses(console, settings)
    if record.kind_of(phases.said) == record.COLD:
        console.print(disk.table())
    if not phases.changed:
        console.print("Nothing changed: all of it was up as asked.")


def print_addresses(console: Console, settings: LabSettings) -> None:
    for name, where in (urls(settings) | files()).items():
        console.print(f"  {name:14} {where}", soft_wrap=True)


@click.group(name="local")
def command() -> None:
    """Run everything on this machine: hosts, Kubernetes, stacks, a model server."""


@command.command("up")
def up_command() -> None:
    """Bring everything up; a second run changes nothing."""
    console = Console()
    phases = up(console)
    settings = LabSettings.from_environment()
    record.add(phases.done)
    print_prediction(console, settings)
    print_summary(console, phases, settings)


@command.command("down")
@click.option("--wipe", is_flag=True, help="Delete the hosts' disks and stack state.")
def down_command(wipe: bool) -> None:
    """Stop the lab's hosts and leave no process, mount or namespace behind."""
    (lab.Lab().wipe if wipe else lab.Lab().down)()
    if wipe:
        Engine().forget("lab")
    Console().print("The lab is down" + (", its disks are deleted." if wipe else "."))


@command.command("times")
def times_command() -> None:
    """Show how long the phases of `up` took, cold and warm."""
    Console().print(record.table())


@command.command("disk")
def disk_command() -> None:
    """Show what is stored on disk, its size, and what may be deleted."""
    Console().print(disk.table())


@command.command("status")
def status_command() -> None:
    """Show hosts, pods and addresses."""
    console = Console()
    for line in lab.Lab().status():
        console.print(line)
    print_addresses(console, LabSettings.from_environment())

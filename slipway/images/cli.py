"""`slipway images build|push|load|lock|list|context`; others in `supply_commands`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table

from components.images import REFERENCE, Lock, using
from slipway.images import attest, kind, lock, models, records, supply_commands
from slipway.images.builders import (
    AUTO,
    BUILDAH,
    BUILDERS,
    Builder,
    BuilderError,
    choose,
)
from slipway.images.builds import Means, build, context
from slipway.images.errors import Report
from slipway.images.records import Record
from slipway.images.registry import Registry, push
from slipway.images.table import images, select
from slipway.ledger import keys


@contextmanager
def _progress(console: Console) -> Iterator[Report]:
    """A line that changes with each step; a lasting one for each image that is done."""
    with console.status("") as status:

        def report(image: str, text: str) -> None:
            if text.startswith(("built", "pushed", "loaded")):
                console.print(f"{image}: {text}", highlight=False)
            else:
                status.update(f"{image}: {text}")
                if not console.is_terminal:
                    console.print(f"{image}: {text}", highlight=False, markup=False)

        yield report


def _builder_options(default: str) -> Callable[[Callable[..., Any]], Any]:
    """The options that say what images are built with; the help names the default."""

    def add(function: Callable[..., Any]) -> Any:
        base = click.option(
            "--base",
            default="",
            metavar="BASE",
            help="What images start from: public (pulled), debian (built from packages "
            "by mmdebstrap) or a reference of your own.",
        )
        builder = click.option(
            "--builder",
            type=click.Choice([AUTO, *BUILDERS]),
            default=None,
            help=f"What builds the images; auto takes the first that works. {default}",
        )
        return builder(base(function))

    return add


_lock_option = click.option(
    "--lock",
    "lock_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="The lock file to write; a stack names it by images_lock.",
)


def _means(builder: str | None, base: str, default: str, console: Console) -> Means:
    """Return the requested builder; by default without trying the lab's."""
    wanted = builder or default
    if wanted == BUILDAH.name and builder is None:
        return Means(BUILDAH, base)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    return Means(choose(wanted, say), base)


@click.group(name="images", invoke_without_command=True)
@click.pass_context
def command(arguments: click.Context) -> None:
    """Container images: build what changed, push by digest, load into kind, list.

    Without a command: push to the lab's registry, which builds first.
    """
    if arguments.invoked_subcommand is None:
        arguments.invoke(push_command)


for subcommand in supply_commands.COMMANDS:
    command.add_command(subcommand)


@command.command("build")
@click.argument("names", nargs=-1)
@_builder_options("Default: buildah.")
def build_command(names: tuple[str, ...], builder: str | None, base: str) -> None:
    """Build the images NAMES, or all, whose inputs have changed."""
    console, start = Console(), time.monotonic()
    means = _means(builder, base, BUILDAH.name, console)
    with _progress(console) as report:
        made = build(names or None, report, means)
    console.print(
        f"{len(made)} built, {len(select(names or None))} in all "
        f"({time.monotonic() - start:.1f} s)"
    )
    if "employment" in made:
        console.print(models.training_log("employment"), highlight=False)


@command.command("push")
@click.argument("names", nargs=-1)
@click.option(
    "--registry",
    default="",
    metavar="HOST/PATH",
    help="Registry to push to, HOST[:PORT][/PATH]; the lab's if not given.",
)
@click.option(
    "--as", "cluster_host", default="", help="Name of the registry within the cluster."
)
@click.option("--plain-http", is_flag=True, help="The registry uses plain HTTP.")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Sign what is pushed, with provenance and SBOM. `slipway ledger key` makes "
    "a key.",
)
@_lock_option
@_builder_options("Default: auto; buildah for the lab.")
def push_command(
    names: tuple[str, ...],
    *,
    registry: str,
    cluster_host: str,
    plain_http: bool,
    key: Path | None,
    lock_file: Path | None,
    builder: str | None,
    base: str,
) -> None:
    """Push the images NAMES, or all, to a registry and write images.lock.

    Changed images are built first; images that the registry has are not pushed again.
    Images that only the lab needs are pushed to your own registry only if you name
    them. Log in first with the builder's own command, such as `docker login HOST`.
    """
    console = Console()
    private = keys.load_private(key) if key else None
    target = (
        Registry.at(registry, cluster_host, plain_http=plain_http) if registry else None
    )
    means = _means(builder, base, AUTO if registry else BUILDAH.name, console)
    with using(Lock(lock_file)):
        _push(target, names, private, means, console)


def _push(
    target: Registry | None,
    names: tuple[str, ...],
    key: Ed25519PrivateKey | None,
    means: Means,
    console: Console,
) -> None:
    """Pushes to a registry, the lab's if none is given, and signs if there is a key."""
    start, signed = time.monotonic(), []
    with _progress(console) as report:
        pushed = push(target, names or None, report, means)
        if key:
            chosen = select(names or None, lab=target is None)
            place = target or Registry.of_lab()
            signed = attest.sign(chosen, place, key, report, means)
    seconds = time.monotonic() - start
    console.print(f"{len(pushed)} pushed ({seconds:.1f} s), {lock.lock_path()}")
    if key:
        console.print(f"{len(signed)} signed", highlight=False)


@command.command("load")
@click.argument("names", nargs=-1)
@click.option(
    "--kind",
    "cluster",
    required=True,
    metavar="NAME",
    help="Name of the kind cluster; `kind get clusters` lists them.",
)
@_builder_options("Default: auto.")
def load_command(
    names: tuple[str, ...], cluster: str, builder: str | None, base: str
) -> None:
    """Load the images NAMES, or all, into a kind cluster and write images.lock.

    No registry is needed. Images that only the lab needs are loaded only if you name
    them.
    """
    console, start = Console(), time.monotonic()
    means = _means(builder, base, AUTO, console)
    with _progress(console) as report:
        loaded = kind.load(cluster, names or None, report, means)
    seconds = time.monotonic() - start
    console.print(f"{len(loaded)} loaded ({seconds:.1f} s), {lock.lock_path()}")


@command.command("lock")
@click.argument("name")
@click.argument("reference")
@_lock_option
def lock_command(name: str, reference: str, lock_file: Path | None) -> None:
    """Add an external image to images.lock: NAME refers to REFERENCE.

    REFERENCE is host/path@sha256:..., a copy in a registry of your own.
    """
    if not REFERENCE.fullmatch(reference):
        raise click.ClickException(
            f"{reference} is not a reference by digest: give host/path@sha256:<64 hex "
            "digits>; a tag can point to another image later"
        )
    if name in images():
        raise click.ClickException(
            f"{name} is built here, and the next push would replace the entry: set "
            "the reference in the stack's settings"
        )
    with using(Lock(lock_file)):
        lock.write({**lock.read(), name: reference})
        Console().print(f"{name} in {lock.lock_path()}", highlight=False)


@command.command("list")
def list_command() -> None:
    """Show each image, its builder, and its reference in images.lock."""
    table = Table("image", "built by")
    table.add_column("reference", overflow="fold")
    built = {name: _records(builder) for name, builder in BUILDERS.items()}
    references = lock.read()
    for name in [*images(), *sorted(set(references) - set(images()))]:
        by = [builder for builder, known in built.items() if name in known]
        table.add_row(name, ", ".join(by) or "-", references.get(name, "-"))
    Console().print(table)


def _records(builder: Builder) -> dict[str, Record]:
    """Return a builder's images; none while it does not work."""
    try:
        return records.read(builder)
    except BuilderError:
        return {}


@command.command("context")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def context_command(name: str, folder: Path) -> None:
    """Write the folder that NAME is built from, for `docker build FOLDER`."""
    console = Console()
    if folder.exists() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} is not empty; name a new folder")
    with _progress(console):
        (image,) = select([name])
        context(image, folder)
        arguments = f"--build-arg VERSION={image.label_version()}"
    if image.base:
        arguments += f" --build-arg BASE=<reference of the image {image.base}>"
    console.print(f"docker build -f {folder}/Containerfile {arguments} {folder}")

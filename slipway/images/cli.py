"""`slipway images build|push|lock|list|context`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from components.images import REFERENCE
from slipway.images import lock, models, records
from slipway.images.builder import build, context
from slipway.images.errors import Report
from slipway.images.registry import Registry, push
from slipway.images.table import images, select


@contextmanager
def _progress(console: Console) -> Iterator[Report]:
    """A line that changes with each step; a lasting one for each image that is done."""
    with console.status("") as status:

        def report(image: str, text: str) -> None:
            if text.startswith(("built", "pushed")):
                console.print(f"{image}: {text}", highlight=False)
            else:
                status.update(f"{image}: {text}")
                if not console.is_terminal:
                    console.print(f"{image}: {text}", highlight=False, markup=False)

        yield report


@click.group(name="images", invoke_without_command=True)
@click.pass_context
def command(arguments: click.Context) -> None:
    """Container images: build what changed, push by digest, list.

    Without a command: push, which builds first.
    """
    if arguments.invoked_subcommand is None:
        arguments.invoke(push_command)


@command.command("build")
@click.argument("names", nargs=-1)
def build_command(names: tuple[str, ...]) -> None:
    """Build the images NAMES, or all, whose inputs have changed."""
    console, start = Console(), time.monotonic()
    with _progress(console) as report:
        made = build(names or None, report)
    console.print(
        f"{len(made)} built, {len(select(names or None))} in all "
        f"({time.monotonic() - start:.1f} s)"
    )
    if "employment" in made:
        console.print(models.training_log("employment"), highlight=False)


@command.command("push")
@click.argument("names", nargs=-1)
@click.option("--registry", default="", help="host:port[/path]; the lab's if not given")
@click.option(
    "--as", "cluster_host", default="", help="the registry's name in the cluster"
)
@click.option("--plain-http", is_flag=True, help="the registry has no TLS")
def push_command(
    names: tuple[str, ...], registry: str, cluster_host: str, plain_http: bool
) -> None:
    """Push what the registry lacks and write images.lock."""
    console, start = Console(), time.monotonic()
    target = (
        Registry.at(registry, cluster_host, plain_http=plain_http) if registry else None
    )
    with _progress(console) as report:
        pushed = push(target, names or None, report)
    seconds = time.monotonic() - start
    console.print(f"{len(pushed)} pushed ({seconds:.1f} s), {lock.lock_path()}")


@command.command("lock")
@click.argument("name")
@click.argument("reference")
def lock_command(name: str, reference: str) -> None:
    """Put an image that is not built here into images.lock: NAME stands for REFERENCE.

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
    lock.write({**lock.read(), name: reference})
    Console().print(f"{name} in {lock.lock_path()}", highlight=False)


@command.command("list")
def list_command() -> None:
    """Show each image, whether it is built, and its reference in images.lock."""
    table = Table("image", "built")
    table.add_column("reference", overflow="fold")
    known, references = records.read(), lock.read()
    for name in [*images(), *sorted(set(references) - set(images()))]:
        state = known[name].id[:12] if name in known else "-"
        table.add_row(name, state, references.get(name, "-"))
    Console().print(table)


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

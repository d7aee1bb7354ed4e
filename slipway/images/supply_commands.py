"""`slipway images sbom|scan|verify|renew`: contents and attestations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from components import images
from slipway.images import attest, debian_lock, debian_renewal, lock, vulnerabilities
from slipway.images.attest import Verdict
from slipway.images.builders import AUTO, BUILDAH, BUILDERS, choose
from slipway.images.builds import Means, bill_of_materials
from slipway.images.errors import Report
from slipway.images.registry import Registry
from slipway.images.table import select
from slipway.ledger import keys
from toolchain.errors import OperatorError, WrongInputError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
builder_option = click.option(
    "--builder",
    type=click.Choice([AUTO, *BUILDERS]),
    default=BUILDAH.name,
    help="Builder of the image. Default: buildah.",
)


def _means(builder: str) -> Means:
    return Means(choose(builder, lambda text: click.echo(text, err=True)))


@click.command("sbom")
@click.argument("name")
@builder_option
def sbom_command(name: str, builder: str) -> None:
    """Print the bill of materials of the built image NAME, as CycloneDX 1.7."""
    (image,) = select([name])
    click.echo(bill_of_materials(image.name, _means(builder)).read_text(), nl=False)


@click.command("scan")
@click.argument("names", nargs=-1, required=True)
@builder_option
@click.option(
    "--database",
    default=vulnerabilities.database,
    metavar="URL",
    help="A database with OSV's API; default: SLIPWAY_VULNERABILITIES, or api.osv.dev.",
)
@click.pass_context
def scan_command(
    ctx: click.Context, names: tuple[str, ...], builder: str, database: str
) -> None:
    """List known vulnerabilities of the contents of the built images NAMES.

    Exit status 1: vulnerabilities were found; 2: the database cannot be reached.
    """
    means, affected = _means(builder), False
    for image in select(names):
        document = bill_of_materials(image.name, means).read_text()
        found = vulnerabilities.scan(document, database)
        for one in found.affected:
            click.echo(f"{image.name}: {one.name} {one.version}: {', '.join(one.ids)}")
        click.echo(
            f"{image.name}: {len(found.affected)} of {found.asked} packages have known "
            f"vulnerabilities; {found.not_asked} parts are in no such database"
        )
        affected = affected or bool(found.affected)
    if affected:
        ctx.exit(1)


@click.command("verify")
@click.argument("names", nargs=-1)
@click.option(
    "--trust",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Trusted public key; default: your own. Repeatable.",
)
@click.option(
    "--lock",
    "lock_file",
    type=FILE,
    default=None,
    metavar="FILE",
    help="The images.lock to verify; default: the one that `push` writes.",
)
@click.option(
    "--registry",
    default="",
    metavar="HOST[:PORT]",
    help="Address of the registry from this machine, if it differs from the lock.",
)
@click.option("--plain-http", is_flag=True, help="The registry uses plain HTTP.")
@click.pass_context
def verify_command(
    ctx: click.Context,
    names: tuple[str, ...],
    *,
    trust: tuple[Path, ...],
    lock_file: Path | None,
    registry: str,
    plain_http: bool,
) -> None:
    """Check that the images of a lock file, or NAMES of it, are signed.

    Exit status 1: an image is not signed by a trusted key.
    """
    trusted = keys.load_trusted(trust or [keys.public_file(keys.default_key())])
    references = _chosen(lock_file, names)
    place = Registry.at(registry, plain_http=plain_http) if registry else None
    verdicts = list(attest.verify(references, trusted, place))
    for verdict in verdicts:
        click.echo(_line(verdict))
    bad = sum(not verdict.is_good for verdict in verdicts)
    click.echo(f"{len(verdicts) - bad} of {len(verdicts)} images are signed")
    if bad:
        ctx.exit(1)


def _chosen(file: Path | None, names: Iterable[str]) -> dict[str, str]:
    """References of a lock file by name, all or the named ones."""
    path = file or lock.lock_path()
    try:
        found = images.known(path)
    except images.ImageError as error:
        raise WrongInputError(f"{error.reason}; {error.fix}") from None
    if unknown := sorted(set(names) - set(found)):
        raise WrongInputError(
            f"{path} has no {', '.join(unknown)}; it has {', '.join(sorted(found))}"
        )
    return {name: found[name] for name in names or found}


def _line(verdict: Verdict) -> str:
    if not verdict.is_good:
        return f"{verdict.name}: NOT SIGNED: {verdict.reason}"
    attested = ", ".join(verdict.attested) or "nothing attested"
    commit = f" of commit {verdict.commit[:12]}" if verdict.commit else ""
    return f"{verdict.name}: signed by {verdict.key[:16]}; {attested}{commit}"


@click.command("renew")
@click.option(
    "--if-gone",
    is_flag=True,
    help="Only if the mirror and the snapshot no longer have a pinned package. Where "
    "that cannot be found out, or not be put right, the pins are kept: exit status 0.",
)
def renew_command(if_gone: bool) -> None:
    """Pin the newest Debian packages in images/debian.lock; needs Debian's apt."""

    def report(_image: str, text: str) -> None:
        click.echo(text, err=True)

    if if_gone and debian_lock.FILE.is_file():
        try:
            if _any_gone(report):
                _renew(report)
        except OperatorError as error:
            click.echo(f"not renewed, the pins are kept: {error}")
        return
    _renew(report)


def _any_gone(report: Report) -> bool:
    """Return whether pinned packages are missing, and print the findings."""
    found = debian_renewal.gone(report)
    for line in found.unknown:
        click.echo(f"not known whether it can be had: {line}")
    if found.gone:
        click.echo(f"no longer to be had: {', '.join(sorted(set(found.gone)))}")
    elif found.unknown:
        click.echo("the pins are kept; nothing was changed")
    else:
        click.echo("all pinned packages can be had; nothing was changed")
    return bool(found.gone)


def _renew(report: Report) -> None:
    for heading, lines in debian_renewal.renew(report).items():
        click.echo(f"[{heading}]")
        for line in lines:
            click.echo(f"  {line}")
    click.echo(f"{debian_lock.FILE}: written; commit it")


COMMANDS = (sbom_command, scan_command, verify_command, renew_command)

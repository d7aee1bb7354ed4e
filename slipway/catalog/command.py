"""`slipway catalog`: show the catalogue, and renew it."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from components import catalog
from components.catalog import InstanceType
from components.setting_problems import nearest

MIB_PER_GIB = 1024
UNKNOWN = "unknown"
DEFAULT_REGION = "us-east-1"


def accelerator_text(found: InstanceType) -> str:
    """`8 x H100, 80 GiB each`, or nothing."""
    if gpu := found.gpu:
        part = "" if gpu.partition == 1 else f" ({gpu.partition:g} of a GPU)"
        size = gpu.memory / MIB_PER_GIB
        return f"{gpu.count} x {gpu.model}, {size:.3g} GiB{part}"
    if neuron := found.neuron:
        size = neuron.memory / MIB_PER_GIB
        return f"{neuron.count} x {neuron.model}, {size:.3g} GiB"
    return ""


def nvme_text(found: InstanceType) -> str:
    """`8 x 3800`, in GB, or nothing."""
    disks = found.local_nvme
    return f"{disks.count} x {disks.size_gb}" if disks else ""


def price_text(name: str, region: str) -> str:
    """Dollars an hour, or that it is not known."""
    price = catalog.price(name, region)
    return f"{price.usd_per_hour:.4g}" if price else UNKNOWN


def _region(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """The region, if the catalogue has its zones or its prices."""
    known = {*catalog.regions(), *catalog.priced_regions()}
    if value not in known:
        near = nearest(value, known)
        hint = f"; did you mean {near}?" if near else ""
        raise click.BadParameter(f"the catalogue has no region {value!r}{hint}")
    return value


_region_option = click.option(
    "--region", default=DEFAULT_REGION, show_default=True, callback=_region
)


@click.group(name="catalog")
def command() -> None:
    """Instance types, GPUs, prices and versions that settings are checked against."""


@command.command("list")
@click.option("--gpu", metavar="MODEL", help="Only types with this accelerator.")
@click.option("--family", metavar="FAMILY", help="Only this family, such as p5.")
@_region_option
@click.option(
    "--all", "everything", is_flag=True, help="Include types without accelerators."
)
def list_command(
    gpu: str | None, family: str | None, region: str, everything: bool
) -> None:
    """Show instance types; by default those with accelerators."""
    shown = [
        found
        for found in catalog.instance_types()
        if (family is None or found.family == family)
        and (gpu is None or _model(found).lower() == gpu.lower())
        and (everything or family or accelerator_text(found))
    ]
    if not shown:
        models = sorted({_model(t) for t in catalog.instance_types()} - {""})
        raise click.UsageError(
            f"no instance type matches; accelerators: {', '.join(models)}"
        )
    table = Table(title=f"{len(shown)} instance types; {region}, on demand")
    table.add_column("type", no_wrap=True)
    for name in ("vCPUs", "GiB", "devices", "EFA", "NVMe GB", "$/h"):
        table.add_column(name, justify="right")
    table.add_column("zones", no_wrap=True, min_width=len(UNKNOWN))
    for found in shown:
        table.add_row(
            found.name,
            str(found.vcpus),
            f"{found.memory / MIB_PER_GIB:g}",
            accelerator_text(found),
            str(found.efa_interfaces or ""),
            nvme_text(found),
            price_text(found.name, region),
            _zones(found, region, ""),
        )
    console = Console()
    console.print(table)
    _print_sources(console, region)


@command.command("show")
@click.argument("name", metavar="TYPE")
@_region_option
def show_command(name: str, region: str) -> None:
    """Show everything that the catalogue has on one instance type."""
    try:
        found = catalog.instance_type(name)
    except catalog.UnknownInstanceTypeError as error:
        raise click.UsageError(str(error)) from None
    table = Table(title=found.name, show_header=False)
    for title, text in _facts(found, region).items():
        table.add_row(title, text or "none")
    console = Console()
    console.print(table)
    _print_sources(console, region)


def _model(found: InstanceType) -> str:
    if found.gpu:
        return found.gpu.model
    return found.neuron.model if found.neuron else ""


def _facts(found: InstanceType, region: str) -> dict[str, str]:
    facts = {
        "vCPUs": str(found.vcpus),
        "memory": f"{found.memory / MIB_PER_GIB:g} GiB",
        "architecture": found.architecture,
        "accelerators": accelerator_text(found),
        "network": f"{found.network_gbps:g} Gbit/s on {found.network_cards} card(s)",
        "EFA interfaces": str(found.efa_interfaces or ""),
        "local NVMe, GB": nvme_text(found),
        "bought as": ", ".join(found.usage_classes),
        "placement groups": ", ".join(found.placement),
        "vCPU quota": _quota(found, "on-demand"),
        "vCPU quota, spot": _quota(found, "spot"),
        "on demand": f"{price_text(found.name, region)} $/h in {region}",
        "zones": _zones(found, region, ", "),
    }
    if found.gpu:
        known = catalog.accelerator(found.gpu.model)
        profiles = [f"{p.name} ({p.instances})" for p in known.mig_profiles]
        facts |= {
            "compute capability": known.compute_capability,
            "MIG profiles": ", ".join(profiles),
            "driver for MIG": _least_driver(known),
            "NVSwitch": "yes" if found.nvswitch else "no",
        }
    return facts


def _least_driver(known: catalog.Accelerator) -> str:
    return f"{known.minimum_driver} or newer" if known.minimum_driver else ""


def _zones(found: InstanceType, region: str, between: str) -> str:
    """Zones that offer it: in full, or letters only if nothing is between."""
    if region not in catalog.regions():
        return UNKNOWN
    zones = catalog.offered(found.name, region)
    return between.join(zones if between else [zone[-1] for zone in zones])


def _quota(found: InstanceType, market: str) -> str:
    quota = catalog.vcpu_quota(found.name, market)
    return f"{quota.name} ({quota.code})" if quota else UNKNOWN


def _print_sources(console: Console, region: str) -> None:
    price = next(
        (p for t in catalog.instance_types() if (p := catalog.price(t.name, region))),
        None,
    )
    if price:
        console.print(f"Prices: {price.source}, {price.as_of}", highlight=False)
    else:
        console.print(
            f"Prices of {region} are not known: slipway catalog refresh --region "
            f"{region} asks your account",
            highlight=False,
        )
    source, day = catalog.sources()["instance_types.json"]
    console.print(f"Types and zones: {source}, {day}", highlight=False)


@command.command("sources")
def sources_command() -> None:
    """Show where each file of the data comes from, and its date."""
    table = Table("file", "date", "source")
    for name, (source, day) in catalog.sources().items():
        table.add_row(name, str(day), source)
    Console().print(table)


@command.command("generate")
def generate_command() -> None:
    """Regenerate the data from the pinned published packages (no account needed)."""
    from slipway.catalog import published, writing

    for name, text in published.generate().items():
        changed = writing.replace(catalog.DATA / name, text)
        click.echo(f"{name}: {'written' if changed else 'unchanged'}")


@command.command("refresh")
@click.option(
    "--region",
    "regions",
    multiple=True,
    default=(DEFAULT_REGION,),
    show_default=True,
    help="Region whose types, zones and prices to query; repeatable.",
)
def refresh_command(regions: Sequence[str]) -> None:
    """Update types, zones, prices and versions from your AWS account (read-only)."""
    from slipway.catalog import account, writing

    for name, text in account.refresh(regions, report=click.echo).items():
        changed = writing.replace(catalog.DATA / name, text)
        click.echo(f"{name}: {'written' if changed else 'unchanged'}")

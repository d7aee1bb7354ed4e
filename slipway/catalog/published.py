"""The catalogue's data from published copies of AWS's answers.

Instance types and offerings: PyPI's moto carries DescribeInstanceTypes and
DescribeInstanceTypeOfferings as they were answered. Prices: the Go module of
Karpenter's provider for AWS carries a table, and another of bandwidths, against which
the instance types are tested. Both are Apache-2.0, pinned, and fetched by the
registries' ordinary clients; neither is needed to use the catalogue.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slipway.catalog import describe, writing
from toolchain import commands, paths, whole_files
from toolchain.errors import OperatorError
from toolchain.locks import locked

MOTO = "5.2.5"
MOTO_DATE = "2026-11-23"
"""The day on which this version was the newest; its answers have no date."""
KARPENTER = "v1.15.2"
"""Only its tables are read: its code wants a newer Go than the lab's."""
MODULE = "github.com/aws/karpenter-provider-aws"
PRICE_FILES = (
    "pkg/providers/pricing/zz_generated.pricing_aws.go",
    "pkg/providers/pricing/zz_generated.pricing_aws_us_gov.go",
)
BANDWIDTH_FILE = "pkg/providers/instancetype/zz_generated.bandwidth.go"
TIMEOUT_SECONDS = 600.0
_RESOURCES = "moto/ec2/resources/"
_GENERATED = re.compile(r"generated at (\d{4}-\d\d-\d\d)T")
_REGION = re.compile(r'^\t"([a-z0-9-]+)": \{', re.MULTILINE)
_PRICE = re.compile(r'"([a-z0-9-]+\.[a-z0-9-]+)": (\d+\.\d+)')
_BANDWIDTH = re.compile(r'"([a-z0-9-]+\.[a-z0-9-]+)": +(\d+),')
_MBPS_PER_GBPS = 1000


def generate() -> dict[str, str]:
    """Text of each generated data file, by its name."""
    wheel, module = moto_wheel(), karpenter_module()
    with zipfile.ZipFile(wheel) as archive:
        types = _types(archive)
        regions = _offerings(archive, set(types))
    moto = f"PyPI moto {MOTO}, moto/ec2/resources"
    karpenter = f"Go module {MODULE} {KARPENTER}"
    priced = _prices(module, set(types), karpenter)
    newest = max(held["date"] for held in priced.values())
    return {
        "instance_types.json": writing.instance_types(types, moto, MOTO_DATE),
        "offerings.json": writing.offerings(regions, moto, MOTO_DATE),
        "prices.json": writing.prices(priced, karpenter, newest),
    }


def _folder() -> Path:
    return paths.cache() / "catalog"


def moto_wheel() -> Path:
    """The pinned wheel, fetched once."""
    found = sorted(_folder().glob(f"moto-{MOTO}-*.whl"))
    if found:
        return found[0]
    _folder().mkdir(parents=True, exist_ok=True)
    with locked(_folder() / "lock"):
        commands.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            + ["--only-binary=:all:", "--dest", str(_folder()), f"moto=={MOTO}"],
            timeout_seconds=TIMEOUT_SECONDS,
        )
    return next(_folder().glob(f"moto-{MOTO}-*.whl"))


def karpenter_module() -> Path:
    """The pinned module's tables, fetched once."""
    kept = _folder() / f"karpenter-{KARPENTER}"
    if kept.is_dir():
        return kept
    _folder().mkdir(parents=True, exist_ok=True)
    with locked(_folder() / "lock"), tempfile.TemporaryDirectory() as folder:
        prefix = f"{MODULE}@{KARPENTER}/"
        with (
            zipfile.ZipFile(_module_zip(Path(folder))) as archive,
            whole_files.made(kept) as part,
        ):
            for name in (*PRICE_FILES, BANDWIDTH_FILE):
                target = part / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(prefix + name))
    return kept


def _module_zip(folder: Path) -> Path:
    """The module's zip, verified by Go's checksum database; OperatorError.

    For a module that wants a newer Go, `go mod download` fetches and verifies it and
    then ends with an error all the same: it has succeeded if it reports zip and sum.
    """
    command = ["go", "mod", "download", "-json", f"{MODULE}@{KARPENTER}"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "GOMODCACHE": str(folder), "GOFLAGS": "-modcacherw"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    answer = json.loads(done.stdout) if done.stdout.strip() else {}
    if not (answer.get("Zip") and answer.get("Sum")):
        why = answer.get("Error") or done.stderr.strip()
        raise OperatorError(f"{' '.join(command)} ended with {done.returncode}: {why}")
    return Path(answer["Zip"])


def bandwidths() -> dict[str, float]:
    """Gbit/s by instance type, as Karpenter's provider has them."""
    text = (karpenter_module() / BANDWIDTH_FILE).read_text()
    return {t: int(mbps) / _MBPS_PER_GBPS for t, mbps in _BANDWIDTH.findall(text)}


def _load(archive: zipfile.ZipFile, name: str) -> Any:
    with gzip.open(io.BytesIO(archive.read(_RESOURCES + name))) as file:
        return json.load(file)


def _types(archive: zipfile.ZipFile) -> dict[str, Any]:
    raw = _load(archive, "instance_types.json.gz")
    return {n: describe.described(r) for n, r in raw.items() if describe.kept(r)}


def _offerings(archive: zipfile.ZipFile, types: set[str]) -> dict[str, Any]:
    folder = f"{_RESOURCES}instance_type_offerings/availability-zone/"
    regions = {}
    for name in archive.namelist():
        if not name.startswith(folder) or not name.endswith(".json.gz"):
            continue
        region = Path(name).name.removesuffix(".json.gz")
        rows = _load(archive, name.removeprefix(_RESOURCES))
        pairs = [(row["InstanceType"], row["Location"]) for row in rows]
        regions[region] = offerings_of(region, pairs, types)
    return regions


def offerings_of(
    region: str, pairs: list[tuple[str, str]], types: set[str]
) -> dict[str, Any]:
    """Zones by letter and, by family and size, the letters that offer it.

    Local and wavelength zones, whose names are not the region and a letter, are left
    out: this project creates no EKS nodes there.
    """
    own = [(t, z) for t, z in pairs if re.fullmatch(region + "[a-z]", z)]
    letters: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for instance_type, zone in own:
        if instance_type in types:
            family, _, size = instance_type.partition(".")
            letters[family][size].add(zone[-1])
    return {
        "zones": "".join(sorted({zone[-1] for _, zone in own})),
        "types": {
            family: {size: "".join(sorted(found)) for size, found in sizes.items()}
            for family, sizes in letters.items()
        },
    }


def _prices(module: Path, types: set[str], source: str) -> dict[str, Any]:
    found = {}
    for name in PRICE_FILES:
        text = (module / name).read_text()
        generated = _GENERATED.search(text)
        if not generated:
            raise ValueError(f"{name}: it has no date of generation")
        for region, table in _tables(text):
            priced = {t: float(p) for t, p in _PRICE.findall(table) if t in types}
            found[region] = {
                "source": source,
                "date": generated[1],
                "types": priced,
            }
    return found


def _tables(text: str) -> Iterator[tuple[str, str]]:
    """Each region's part of a table."""
    starts = list(_REGION.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends, strict=True):
        yield start[1], text[start.end() : end]

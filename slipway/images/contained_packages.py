"""Debian packages where the machine has no Debian apt: unpacked in a container.

The container is the base image, whose apt checks signatures as always; what it unpacked
comes out as a tar on its standard output. Nothing of this machine is mounted, so that a
builder on another machine serves too. The result lies in the cache where
`toolchain.packages` would have put it.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from slipway.images.builders import Builder
from slipway.images.debian_archive import MIRROR_VARIABLE
from slipway.images.debian_lock import Pin
from slipway.images.errors import Report
from slipway.images.inputs import Debian
from slipway.images.table import Image
from toolchain import commands, packages
from toolchain.mirror import KEYRING

SCRIPT = r"""
archive=$1 keyring=$2 suite=$3
shift 3
if [ -z "$archive" ]; then
  release="s|^'\([^']*/debian\)/dists/[^']*/InRelease'.*|\1|p"
  archive=$(apt-get --print-uris update | sed --quiet "$release" | head --lines 1)
fi
for source in "$archive $suite" "$archive-security $suite-security"; do
  echo "deb [signed-by=$keyring] $source main"
done > /tmp/sources.list
apt="apt-get --quiet --option Dir::Etc::SourceList=/tmp/sources.list"
apt="$apt --option Dir::Etc::SourceParts=/nonexistent"
$apt update >&2
cd "$(mktemp --directory)"
for pin do
  sha256=${pin##*=} chosen=${pin%=*}
  package=${chosen%%=*}
  mkdir "$package" "$package.deb"
  (cd "$package.deb" && $apt download "$chosen" >&2)
  for archive in "$package.deb"/*.deb; do
    echo "$sha256  $archive" | sha256sum --check --status
  done
  dpkg-deb --extract "$package.deb"/*.deb "$package"
  rm -r "$package.deb"
done
tar --create .
"""


def wanted(chosen: Iterable[Image]) -> dict[str, list[Pin]]:
    """Pins by suite of packages that this machine cannot unpack itself."""
    if packages.has_apt():
        return {}
    found: defaultdict[str, set[Pin]] = defaultdict(set)
    for image in chosen:
        for source in image.inputs.values():
            if isinstance(source, Debian) and not source.is_here:
                found[source.suite].add(source.pin)
    return {suite: sorted(pins, key=str) for suite, pins in found.items()}


def fetch(
    pins_by_suite: Mapping[str, Sequence[Pin]],
    builder: Builder,
    base: str,
    report: Report,
) -> None:
    """Unpacks packages in a container of the image `base` and keeps them.

    Each archive is compared with its pin there; BuilderError if the archive has another
    version by now.
    """
    archive = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    for suite, pins in pins_by_suite.items():
        names = ", ".join(pin.name for pin in pins)
        report("base", f"unpacking {names} of Debian {suite}")
        words = [f"{pin.name_and_version}={pin.sha256}" for pin in pins]
        command = ["sh", "-ec", SCRIPT, "sh", archive, KEYRING, suite, *words]
        with tempfile.TemporaryDirectory(prefix="slipway-debian-") as work:
            packed = Path(work) / "packages.tar"
            builder.output(base, command, packed)
            _keep(packed, Path(work) / "unpacked", suite, pins)


def _keep(packed: Path, folder: Path, suite: str, pins: Sequence[Pin]) -> None:
    folder.mkdir()
    commands.run(["tar", "-xof", packed, "-C", folder])
    for pin in pins:
        held = {pin.name: pin.version}
        packages.keep(folder / pin.name, pin.name_and_version, suite, held)

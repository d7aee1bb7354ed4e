"""Pushes images to a registry and writes their digests into images.lock."""

from __future__ import annotations

import ipaddress
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

from lab.settings import REGISTRY_NAME, LabSettings
from slipway.images import buildah, lock, records
from slipway.images.archives import REGISTRY_PORT
from slipway.images.builder import build
from slipway.images.errors import ImageError, Report, silent
from slipway.images.records import Record
from slipway.images.table import Image, select
from toolchain.locks import locked

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Registry:
    """A registry as this machine reaches it, and the name that the cluster has for it.

    `host` and `cluster_host` are host:port, perhaps with a path as a prefix. Plain
    HTTP is spoken on loopback, or if `plain_http` asks for it.
    """

    host: str
    cluster_host: str
    plain_http: bool = False

    @classmethod
    def of_lab(cls) -> Registry:
        port = LabSettings.from_environment().ports()["registry"]
        return cls(f"127.0.0.1:{port}", f"{REGISTRY_NAME}:{REGISTRY_PORT}")

    @classmethod
    def at(
        cls, host: str, cluster_host: str = "", *, plain_http: bool = False
    ) -> Registry:
        return cls(host, cluster_host or host, plain_http)

    @property
    def is_loopback(self) -> bool:
        name = self.host.partition("/")[0].rpartition(":")[0] or self.host
        try:
            return ipaddress.ip_address(name.strip("[]")).is_loopback
        except ValueError:
            return name == "localhost"

    @property
    def is_plain(self) -> bool:
        return self.plain_http or self.is_loopback

    def _client(self) -> httpx.Client:
        address, _, _ = self.host.partition("/")
        return httpx.Client(
            base_url=f"{'http' if self.is_plain else 'https'}://{address}/v2/",
            timeout=TIMEOUT_SECONDS,
            # A proxy of the environment must not see requests to loopback.
            trust_env=not self.is_loopback,
            headers={"accept": ", ".join(MANIFEST_TYPES)},
        )

    def check(self) -> None:
        """Raises ImageError if nothing answers there."""
        try:
            with self._client() as client:
                client.get("")
        except httpx.HTTPError as error:
            fix = (
                "bring the lab up (`slipway local up`), or name another registry "
                "with --registry"
                if self.is_loopback
                else "check the address; --plain-http for one without TLS"
            )
            raise ImageError(
                f"no registry at {self.host} ({error or type(error).__name__}); {fix}"
            ) from error

    def has(self, image: Image, digest: str) -> bool:
        """True if the registry holds that digest; False also where it wants a login."""
        prefix = self.host.partition("/")[2]
        name = f"{prefix}/{image.repository}".lstrip("/")
        with self._client() as client:
            found = client.head(f"{name}/manifests/{digest}")
        return found.status_code == httpx.codes.OK


def _push(image: Image, record: Record, registry: Registry) -> Record:
    with tempfile.TemporaryDirectory(prefix="slipway-push-") as folder:
        digest = Path(folder) / "digest"
        target = f"docker://{registry.host}/{image.repository}:{record.key[:16]}"
        verify = "false" if registry.is_plain else "true"
        command = ["push", "--quiet", f"--tls-verify={verify}"]
        command += ["--digestfile", str(digest), record.id, target]
        buildah.run(command, image.name)
        pushed = Record(record.key, record.id, digest.read_text().strip())
    records.keep(image.name, pushed)
    return pushed


def push(
    registry: Registry | None = None,
    names: Iterable[str] | None = None,
    report: Report = silent,
) -> dict[str, str]:
    """Pushes what the registry lacks, writes images.lock; references of the pushed.

    Images that are not built or have changed are built first. The lab's registry is
    the default. Raises ImageError.
    """
    registry = registry or Registry.of_lab()
    registry.check()
    chosen = select(names)
    build([image.name for image in chosen], report)
    pushed: dict[str, str] = {}
    # Mirrored images, which are not of the table, stay in it.
    references = lock.read()
    with locked(buildah.home() / "lock"):
        known = records.read()
        for image in chosen:
            record = known[image.name]
            absent = not record.digest or not registry.has(image, record.digest)
            if absent:
                start = time.monotonic()
                report(image.name, f"pushing to {registry.host}")
                record = _push(image, record, registry)
                report(image.name, f"pushed in {time.monotonic() - start:.1f} s")
            host = registry.cluster_host
            reference = f"{host}/{image.repository}@{record.digest}"
            references[image.name] = reference
            if absent:
                pushed[image.name] = reference
        lock.write(references)
    return pushed

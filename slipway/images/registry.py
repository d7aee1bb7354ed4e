"""Pushes images to a registry and writes their digests into images.lock."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from lab.settings import REGISTRY_NAME, LabSettings
from slipway.images import feasible, lock, records
from slipway.images.archives import REGISTRY_PORT
from slipway.images.builds import OF_THE_LAB, Means, build
from slipway.images.errors import ImageError, Report, silent
from slipway.images.records import Record
from slipway.images.table import Image, select
from toolchain.locks import locked

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
TIMEOUT_SECONDS = 5.0
DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


@dataclass(frozen=True)
class Registry:
    """A registry as this machine reaches it, and the name that the cluster has for it.

    `host` and `cluster_host` are host:port, perhaps with a path as a prefix. Plain
    HTTP is spoken on loopback, or with `plain_http`.
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

    def client(self) -> httpx.Client:
        address, _, _ = self.host.partition("/")
        return httpx.Client(
            base_url=f"{'http' if self.is_plain else 'https'}://{address}/v2/",
            timeout=TIMEOUT_SECONDS,
            # A proxy of the environment must not see requests to loopback.
            trust_env=not self.is_loopback,
            headers={"accept": ", ".join(MANIFEST_TYPES)},
        )

    def check(self) -> None:
        """Raises ImageError if nothing answers there, or it cannot take the images."""
        if self.host.partition("/")[0] in DOCKER_HUB:
            raise ImageError(
                f"{self.host}: Docker Hub has no repositories below <account>/<name>, "
                "and the images are named <account>/slipway/<name>; name another "
                "registry"
            )
        try:
            with self.client() as client:
                client.get("")
        except httpx.HTTPError as error:
            if UNTRUSTED in str(error):
                return  # the builder may trust another authority than we do
            fix = (
                "bring the lab up (`slipway local up`), or name another registry "
                "with --registry"
                if self.is_loopback
                else "check the address; --plain-http for one without TLS"
            )
            raise ImageError(
                f"no registry at {self.host} ({error or type(error).__name__}); {fix}"
            ) from error

    def path(self, repository: str) -> str:
        """A repository's name in the registry's API, with the prefix."""
        return f"{self.host.partition('/')[2]}/{repository}".lstrip("/")

    def has(self, image: Image, digest: str) -> bool:
        """True if the registry holds that digest; False also where it wants a login."""
        name = self.path(image.repository)
        try:
            with self.client() as client:
                path = f"{name}/manifests/{digest}"
                found = client.head(path, follow_redirects=True)
        except httpx.HTTPError:
            return False
        return found.status_code == httpx.codes.OK


def _push(image: Image, record: Record, registry: Registry, means: Means) -> Record:
    target = f"{registry.host}/{image.repository}:{record.key[:16]}"
    digest = means.builder.push(record.id, target, plain_http=registry.is_plain)
    pushed = Record(record.key, record.id, digest)
    records.keep(means.builder, image.name, pushed)
    return pushed


def push(
    registry: Registry | None = None,
    names: Iterable[str] | None = None,
    report: Report = silent,
    means: Means = OF_THE_LAB,
) -> dict[str, str]:
    """Pushes what the registry lacks, writes images.lock; references of the pushed.

    Images that are not built or have changed are built first. The lab's registry is
    the default; to another, the images of the lab are pushed if they are named. Raises
    ImageError.
    """
    chosen = select(names, lab=registry is None)
    registry = registry or Registry.of_lab()
    registry.check()
    feasible.check(chosen, means)
    build([image.name for image in chosen], report, means)
    pushed: dict[str, str] = {}
    # Mirrored images, which are not of the table, stay in it.
    references = lock.read()
    with locked(means.lock):
        known = records.read(means.builder)
        for image in chosen:
            record = known[image.name]
            absent = not record.digest or not registry.has(image, record.digest)
            if absent:
                start = time.monotonic()
                report(image.name, f"pushing to {registry.host}")
                record = _push(image, record, registry, means)
                report(image.name, f"pushed in {time.monotonic() - start:.1f} s")
            host = registry.cluster_host
            reference = f"{host}/{image.repository}@{record.digest}"
            references[image.name] = reference
            if absent:
                pushed[image.name] = reference
        lock.write(references)
    return pushed

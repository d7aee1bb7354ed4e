"""Turns a docker-archive into an OCI archive that containerd imports under a digest.

containerd names an imported image by the annotation `io.containerd.image.name` of its
manifest in index.json. A name with a digest is what a pod by digest is looked up by; a
docker-archive can only give tags. The formats:
https://github.com/opencontainers/image-spec/blob/main/image-layout.md and
https://github.com/moby/docker-image-spec (the file manifest.json).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from slipway.images.errors import ImageError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
NAME = "io.containerd.image.name"
GZIP = b"\x1f\x8b"
CHUNK_BYTES = 2**20


@dataclass
class _Blobs:
    """The blobs of an archive that is being written, each once."""

    target: tarfile.TarFile
    written: set[str] = field(default_factory=set)

    def add(self, content: IO[bytes], size: int, digest: str, media_type: str) -> Any:
        """Writes a blob unless it is there; its descriptor."""
        if digest not in self.written:
            _write(self.target, f"blobs/sha256/{digest}", content, size)
            self.written.add(digest)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}

    def add_json(self, value: Any, media_type: str) -> Any:
        content = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        return self.add(io.BytesIO(content), len(content), digest, media_type)


def convert(source: Path, target: Path, repository: str) -> str:
    """Writes the only image of a docker-archive as an OCI archive.

    Returns its reference, `repository@sha256:...`, under which containerd keeps it.
    Raises ImageError if the archive is not one.
    """
    try:
        with tarfile.open(source) as archive, tarfile.open(target, "w") as written:
            return _convert(archive, written, repository)
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise ImageError(f"{source} is not a docker-archive: {error!r}") from error


def _convert(archive: tarfile.TarFile, target: tarfile.TarFile, repository: str) -> str:
    (entry,) = json.loads(_member(archive, "manifest.json").read())
    blobs = _Blobs(target)
    config = _member(archive, entry["Config"]).read()
    digest = hashlib.sha256(config).hexdigest()
    manifest = blobs.add_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blobs.add(io.BytesIO(config), len(config), digest, CONFIG),
            "layers": [_layer(archive, name, blobs) for name in entry["Layers"]],
        },
        MANIFEST,
    )
    reference = f"{repository}@{manifest['digest']}"
    named = manifest | {"annotations": {NAME: reference}}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
    for name, value in (
        ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
        ("index.json", index),
    ):
        content = json.dumps(value).encode()
        _write(target, name, io.BytesIO(content), len(content))
    return reference


def _layer(archive: tarfile.TarFile, name: str, blobs: _Blobs) -> Any:
    """Copies a layer; Docker's own store has it unpacked, containerd's compressed."""
    content = _member(archive, name)
    digest, head, size = hashlib.sha256(), b"", 0
    while chunk := content.read(CHUNK_BYTES):
        head = head or chunk[: len(GZIP)]
        size += len(chunk)
        digest.update(chunk)
    content.seek(0)
    media_type = LAYER + ("+gzip" if head == GZIP else "")
    return blobs.add(content, size, digest.hexdigest(), media_type)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file of the archive, or what it is a link to: equal layers are links."""
    content = archive.extractfile(name)
    if content is None:
        raise KeyError(name)
    return content


def _write(target: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    target.addfile(member, content)

"""Manifests and blobs of one repository, as the OCI distribution API has them.

For what the builders cannot push: signatures and attestations.
https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import hashlib
import re
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx

from slipway.images import credentials
from slipway.images.errors import ImageError
from slipway.images.oci_archive import MANIFEST
from slipway.images.registry import Registry

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_LARGEST_BYTES = 64 * 2**20
"""The largest answer that is read."""


def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    """Return a manifest's reference to a blob."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


class Repository:
    """A repository of a registry; a context manager.

    Raises ImageError for what the registry does not do, with its answer.
    """

    def __init__(self, registry: Registry, name: str) -> None:
        """`name`: the path of the repository, with the registry's prefix."""
        self.registry, self.name = registry, name
        self._client = registry.client()
        self._client.headers["accept"] = MANIFEST
        self._host = registry.host.partition("/")[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def manifest(self, tag: str) -> bytes | None:
        """A manifest by its tag; None if there is none."""
        answer = self._ask("GET", f"{self.name}/manifests/{tag}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return self._checked(answer, httpx.codes.OK).content

    def blob(self, digest: str) -> bytes:
        """A blob; ImageError if it is another than its digest says."""
        answer = self._ask("GET", f"{self.name}/blobs/{digest}")
        content = self._checked(answer, httpx.codes.OK).content
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if found != digest:
            raise ImageError(f"{self._host}/{self.name}: {digest} has digest {found}")
        return content

    def put_blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Stores a blob unless it is there; its descriptor."""
        named = descriptor(content, media_type)
        there = self._ask("HEAD", f"{self.name}/blobs/{named['digest']}")
        if there.status_code != httpx.codes.OK:
            started = self._ask("POST", f"{self.name}/blobs/uploads/")
            place = self._checked(started, httpx.codes.ACCEPTED).headers["location"]
            done = self._ask(
                "PUT",
                urljoin(str(started.url), place),
                params={"digest": named["digest"]},
                content=content,
                headers={"content-type": "application/octet-stream"},
            )
            self._checked(done, httpx.codes.CREATED)
        return named

    def put_manifest(self, tag: str, content: bytes) -> None:
        """Stores a manifest under a tag."""
        path = f"{self.name}/manifests/{tag}"
        kind = {"content-type": MANIFEST}
        answer = self._ask("PUT", path, content=content, headers=kind)
        self._checked(answer, httpx.codes.CREATED)

    def _ask(
        self, method: str, url: str, params: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """An answer; where a log-in is wanted, asks again with one.

        Registries redirect readers to the storage of their cloud. A log-in stays with
        the host that it is for.
        """
        merged = httpx.URL(url).copy_merge_params(params or {})
        more["follow_redirects"] = method in ("GET", "HEAD")
        try:
            answer = self._client.request(method, merged, **more)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._log_in(answer.headers.get("www-authenticate", ""))
                answer = self._client.request(method, merged, **more)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise ImageError(f"{self._host} does not answer: {said}") from error
        if len(answer.content) > _LARGEST_BYTES:
            raise ImageError(f"{answer.url} is larger than {_LARGEST_BYTES} bytes")
        return answer

    def _checked(self, answer: httpx.Response, wanted: int) -> httpx.Response:
        if answer.status_code != wanted:
            raise ImageError(
                f"{answer.request.method} {answer.url} answers {answer.status_code}: "
                f"{answer.text[:300].strip()}"
            )
        return answer

    def _log_in(self, challenge: str) -> None:
        """Basic, or a token: https://distribution.github.io/distribution/spec/auth/."""
        known = credentials.of(self._host)
        if challenge.lower().startswith("basic"):
            if known is None:
                raise ImageError(
                    f"{self._host} wants a log-in; run `docker login {self._host}` (or "
                    "podman, buildah) before"
                )
            self._client.auth = httpx.BasicAuth(*known)
            return
        words = dict(_CHALLENGE.findall(challenge))
        asked = {key: words[key] for key in ("service", "scope") if key in words}
        answer = httpx.get(
            words.get("realm", ""),
            params=asked,
            auth=known,
            timeout=self._client.timeout,
        )
        given = self._checked(answer, httpx.codes.OK).json()
        token = given.get("token") or given.get("access_token", "")
        self._client.headers["authorization"] = f"Bearer {token}"

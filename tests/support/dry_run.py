"""What an API server says to a request that changes nothing, or that does.

By plain requests: kubectl takes a process for each object, and prints one warning where
two objects get the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from components.cluster.existing.kubeconfig_files import Kubeconfig
from components.security.rules import API_KINDS
from slipway.cluster import connection
from slipway.cluster.kube_api import MERGE
from tests.support.kube import Kube

Object = dict[str, Any]
ATTEMPTS = 5
"""Of an update that a controller was faster than."""
POLICY = r"ValidatingAdmissionPolicy 'slipway-([\w-]+)' with binding '[^']*'"
WARNED = re.compile(rf"{POLICY}: (.*)")
REFUSED = re.compile(rf"{POLICY} denied request: (.*)")
QUOTED = re.compile(r'^\d{3} \S+ "((?:[^"\\]|\\.)*)"')
"""https://www.rfc-editor.org/rfc/rfc7234#section-5.5"""


@dataclass(frozen=True)
class Answer:
    """What the API server says."""

    error: str
    """Empty if it accepts the request."""
    warnings: dict[str, str]
    """Of admission policies, by rule."""

    @property
    def refusal(self) -> dict[str, str]:
        """The text of the rule that refuses, by rule; the server names one of all."""
        return {match[1]: match[2] for match in REFUSED.finditer(self.error)}


def path(content: Object) -> str:
    """Where the API server keeps objects of this kind, in the object's namespace."""
    version, kind = content["apiVersion"], API_KINDS[content["kind"]]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    space = content["metadata"].get("namespace")
    inside = f"/namespaces/{space}" if kind.namespaced else ""
    return f"{base}{inside}/{kind.resource}"


@dataclass(frozen=True)
class DryRuns:
    """An API server; `keep` makes a request one that counts."""

    client: httpx.Client

    def create(self, content: Object, *, keep: bool = False) -> Answer:
        return self._ask("POST", path(content), content, keep=keep)

    def replace(self, content: Object, *, keep: bool = False) -> Answer:
        """Puts the object in place of the one of its name."""
        target = _target(content)
        for _ in range(ATTEMPTS):
            found = self.client.get(target).raise_for_status().json()
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            fresh = {**content, "metadata": {**content["metadata"], **version}}
            answer = self._ask("PUT", target, fresh, keep=keep)
            if "the object has been modified" not in answer.error:
                break
        return answer

    def patch(self, content: Object, change: Object) -> Answer:
        """Merges the change into the object of that name."""
        return self._ask("PATCH", _target(content), change)

    def delete(self, content: Object) -> Answer:
        return self._ask("DELETE", _target(content), None)

    def _ask(
        self, verb: str, path: str, body: Object | None, *, keep: bool = False
    ) -> Answer:
        query = {} if keep else {"dryRun": "All"}
        if body is not None:
            query["fieldValidation"] = "Strict"
        kind = MERGE if verb == "PATCH" else "application/json"
        headers = {"Content-Type": kind} if body is not None else {}
        done = self.client.request(verb, path, params=query, json=body, headers=headers)
        said = (_unquoted(text) for text in done.headers.get_list("warning"))
        found = (WARNED.search(text) for text in said)
        return Answer(
            error="" if done.is_success else _message(done),
            warnings={match[1]: match[2] for match in found if match},
        )


def _target(content: Object) -> str:
    return f"{path(content)}/{content['metadata']['name']}"


def _unquoted(header: str) -> str:
    found = QUOTED.match(header)
    assert found, f"no warning: {header}"
    return re.sub(r"\\(.)", r"\1", found[1])


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text}"


@contextmanager
def of(kube: Kube) -> Iterator[DryRuns]:
    """The API server of a kubeconfig."""
    access = Kubeconfig.of_files([kube.kubeconfig]).access(None)
    with connection.client(access) as client:
        yield DryRuns(client)

"""Differences between a stack's objects in the cluster and the engine's state.

A refresh by the engine reads every object, and an update follows where a field that the
program declared has another value (`Read` and `Diff` of pulumi-kubernetes 4.25). This
module finds the same with one list of metadata for each kind: an object whose
`resourceVersion` is that of the state was not written since the engine read it. Only
the content of the others is read, and never that of objects with secret values.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import quote

from components import naming, ownership
from slipway.cluster import rollout
from slipway.cluster.kube_api import KubeApi, KubeApiError, Object
from slipway.rendering.recorder import MARK

TOGETHER = 8
"""Concurrent requests."""
SECONDS = 10.0
"""Seconds in which requests are sent; those in flight then have their own timeout."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = tuple[str, str, str, str]
"""Identity of an object: version, kind, namespace, name."""
_DASHED = "x-kubernetes-"
"""Prefix of names that the provider writes with underscores in the state, and the API
with dashes."""

NOT_READY = "is not ready"
"""Suffix of the difference of a workload that is being rolled out or has lost pods."""


@dataclass(frozen=True)
class Recorded:
    """An object of the cluster as the engine's state has it."""

    version: str
    """API group and version, in the form of the API's paths."""
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    declared: Mapping[str, Any]
    """The program's input; the engine's placeholders replace secret values."""
    ignored: frozenset[str]
    """Paths in it whose changes the program ignores, such as spec.replicas."""
    has_secrets: bool

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Self:
        """Parse a resource of the state; KeyError if a field is missing."""
        outputs = resource["outputs"]
        metadata = outputs["metadata"]
        return cls(
            version=outputs["apiVersion"],
            kind=outputs["kind"],
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            declared=resource["inputs"],
            ignored=frozenset(resource.get("ignoreChanges") or ()),
            has_secrets=f'"{MARK}"' in json.dumps(resource),
        )

    @property
    def reference(self) -> str:
        return ownership.reference(self.kind, self.namespace, self.name)

    @property
    def key(self) -> Key:
        return (self.version, self.kind, self.namespace, self.name)

    @property
    def root(self) -> str:
        """Return the path of the version of its API group."""
        return (
            f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        )

    @property
    def is_labelled(self) -> bool:
        """Return whether it has its stack's label; adopted objects do not."""
        metadata = self.declared.get("metadata") or {}
        return naming.STACK_LABEL in (metadata.get("labels") or {})


def differences(
    api: KubeApi,
    stack: str,
    objects: Sequence[Recorded],
    now: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Return all differences, as text; empty if the engine would change nothing.

    KubeApiError if the API server does not answer all of it in time.
    """
    asked = _Asked(api, now)
    paths = asked.paths(objects)
    found = asked.metadata(stack, objects, paths)
    written: list[Recorded] = []
    reasons: list[str] = []
    for one in objects:
        live = found.get(one.key)
        if live is None or live["metadata"].get("uid") != one.uid:
            reasons.append(f"{one.reference} is not the one that was created")
        elif "deletionTimestamp" in live["metadata"]:
            reasons.append(f"{one.reference} is being deleted")
        elif live["metadata"].get("resourceVersion") == one.resource_version:
            continue
        elif one.has_secrets:
            reasons.append(f"{one.reference} was written, and holds secret values")
        else:
            written.append(one)
    contents = asked.each(lambda one: api.get(paths[one.key]), written)
    for one, content in zip(written, contents, strict=True):
        reasons += _changed(one, content)
    return reasons


def are_unready(found: Sequence[str]) -> bool:
    """Return whether all differences are workloads that are still starting."""
    return all(text.endswith(NOT_READY) for text in found)


def differing(
    found: Any, declared: Any, ignored: frozenset[str] = frozenset(), path: str = ""
) -> Iterator[str]:
    """Paths at which `found` lacks or changes what is declared.

    A declared list must be equal as a whole. Secret values that are marked as such in
    `found` count as equal.
    """
    if path in ignored or (isinstance(found, Mapping) and MARK in found):
        return
    if isinstance(declared, Mapping) and isinstance(found, Mapping):
        for key, value in declared.items():
            below = found.get(key, found.get(_other_spelling(key)))
            yield from differing(below, value, ignored, f"{path}.{key}".lstrip("."))
    elif isinstance(declared, list) and isinstance(found, list):
        if len(declared) != len(found):
            yield path
            return
        for index, pair in enumerate(zip(found, declared, strict=True)):
            yield from differing(*pair, ignored, f"{path}[{index}]")
    elif found != declared or isinstance(found, bool) != isinstance(declared, bool):
        yield path


def _changed(one: Recorded, content: Object | None) -> Iterator[str]:
    if content is None:
        yield f"{one.reference} no longer exists"
        return
    for path in differing(content, one.declared, one.ignored):
        yield f"{one.reference}: {path} is not as declared"
    if not rollout.settled(content):
        yield f"{one.reference} {NOT_READY}"


def _other_spelling(key: str) -> str:
    underscored = _DASHED.replace("-", "_")
    if key.startswith(_DASHED):
        return key.replace("-", "_")
    return key.replace("_", "-") if key.startswith(underscored) else key


class _Asked:
    """Concurrent requests to one API server, until a deadline."""

    def __init__(self, api: KubeApi, now: Callable[[], float]) -> None:
        self._api, self._now, self._end = api, now, now() + SECONDS

    def each(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> list[Result]:
        """Return the function's result for each; KubeApiError after the deadline."""

        def in_time(item: Item) -> Result:
            if self._now() > self._end:
                raise KubeApiError(f"not all was answered within {SECONDS:.0f} s")
            return function(item)

        with ThreadPoolExecutor(TOGETHER) as pool:
            return list(pool.map(in_time, items))

    def paths(self, objects: Sequence[Recorded]) -> dict[Key, str]:
        """Return the API's paths of objects; KubeApiError for an unknown kind."""
        roots = sorted({one.root for one in objects})
        served = dict(zip(roots, self.each(self._api.kinds, roots), strict=True))
        found = {}
        for one in objects:
            if one.kind not in served[one.root]:
                raise KubeApiError(f"the cluster has no kind {one.version} {one.kind}")
            plural, namespaced = served[one.root][one.kind]
            where = f"/namespaces/{one.namespace}" if namespaced else ""
            found[one.key] = f"{one.root}{where}/{plural}/{one.name}"
        return found

    def metadata(
        self, stack: str, objects: Sequence[Recorded], paths: Mapping[Key, str]
    ) -> dict[Key, Object]:
        """Metadata of those that are there: lists of the stack's own, others singly."""
        label = quote(f"{naming.STACK_LABEL}={ownership.label(stack)}")
        kinds: dict[str, tuple[str, str]] = {}
        singly = []
        for one in objects:
            if one.is_labelled:
                plural = paths[one.key].split("/")[-2]
                whole = f"{one.root}/{plural}?labelSelector={label}"
                kinds[whole] = (one.version, one.kind)
            else:
                singly.append(one)
        lists = self.each(self._api.listed, kinds)
        found = {
            (
                *kind,
                item["metadata"].get("namespace", ""),
                item["metadata"]["name"],
            ): item
            for kind, items in zip(kinds.values(), lists, strict=True)
            for item in items
        }
        alone = self.each(lambda one: self._api.metadata(paths[one.key]), singly)
        others = zip(singly, alone, strict=True)
        return found | {one.key: item for one, item in others if item is not None}

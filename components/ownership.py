"""Which objects are a stack's own: its label on each, and none on what is adopted.

Server-side apply takes over what exists, and `destroy` would delete it. An object is a
stack's own if it has the stack's label; all others belong to someone else, and are
taken over only if the setting `adopt` names them. Those stay at `destroy`
(docs/decisions/0038).
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any

import pulumi
from pydantic import AfterValidator

from components import naming
from components.settings import Problem, SettingsError, refuse

FORCE = "pulumi.com/patchForce"
"""Annotation: the provider takes fields over from whoever had them.
https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply"""
_KUBERNETES = "kubernetes:"
_REFERENCE = re.compile(r"[A-Z][A-Za-z0-9]*(/[a-z0-9][a-z0-9-]*)?/[^\s/]+")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def _reference(value: str) -> str:
    if not _REFERENCE.fullmatch(value):
        refuse(
            "not a reference to an object",
            "give Kind/name, or Kind/namespace/name, for example Namespace/models or "
            "ServiceAccount/kube-system/metrics-server",
        )
    return value


AdoptedObject = Annotated[str, AfterValidator(_reference)]
"""An object that exists and is taken over: Kind/name or Kind/namespace/name."""


def label(stack: str) -> str:
    """The label's value for a stack; a digest stands for the end of a long name."""
    if _LABEL_VALUE.fullmatch(stack):
        return stack
    digest = hashlib.sha256(stack.encode()).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9_.-]', '-', stack)[:54].strip('._-')}-{digest}"


def reference(kind: str, namespace: str | None, name: str) -> str:
    """An object as the setting `adopt` names it."""
    return "/".join(part for part in (kind, namespace, name) if part)


class Ownership:
    """Marks the Kubernetes objects of the running program, from its making on.

    Each gets the stack's label. Objects in `adopt` get none: `destroy` keeps them, and
    their declared fields are taken over from their former managers.
    """

    def __init__(self, stack: str, adopt: tuple[AdoptedObject, ...]) -> None:
        self._label = {naming.STACK_LABEL: label(stack)}
        self._adopt = adopt
        self._declared: set[str] = set()
        # Not a transform of the newer kind: that one is called by the engine, and a
        # rendering has none.
        pulumi.runtime.register_stack_transformation(self._mark)

    def require_declared(self, source: str) -> None:
        """SettingsError if `adopt` names what the stack does not have.

        For the end of the program; `source` is the stack's file.
        """
        problems = [
            Problem(
                path=f"adopt.{index}",
                value=name,
                reason="the stack declares no such object",
                fix=self._nearest(name),
            )
            for index, name in enumerate(self._adopt)
            if name not in self._declared
        ]
        if problems:
            raise SettingsError(source, problems)

    def _nearest(self, name: str) -> str:
        kind, last = name.partition("/")[0], name.rpartition("/")[2]
        same = {o for o in self._declared if o.partition("/")[0] == kind}
        named = {o for o in self._declared if o.rpartition("/")[2] == last}
        near = [*sorted(same & named), *sorted(same - named), *sorted(named - same)]
        if not near:
            return "remove it"
        return f"remove it, or give one of: {', '.join(near[:5])}"

    def _mark(
        self, args: pulumi.ResourceTransformationArgs
    ) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith(_KUBERNETES) or not isinstance(args.props, dict):
            return None
        metadata = args.props.get("metadata")
        name = self._name(args.type_.rpartition(":")[2], metadata)
        self._declared.add(name)
        if name in self._adopt:
            kept = pulumi.ResourceOptions(retain_on_delete=True)
            return pulumi.ResourceTransformationResult(
                {**args.props, "metadata": _with(metadata, "annotations", _FORCED)},
                pulumi.ResourceOptions.merge(args.opts, kept),
            )
        marked = _with(metadata, "labels", self._label)
        # The engine lets children inherit it, and an adopted namespace has some.
        goes = pulumi.ResourceOptions(retain_on_delete=bool(args.opts.retain_on_delete))
        return pulumi.ResourceTransformationResult(
            {**args.props, "metadata": marked},
            pulumi.ResourceOptions.merge(args.opts, goes),
        )

    @staticmethod
    def _name(kind: str, metadata: Any) -> str:
        """The object's reference; of one that is named by others, its kind alone."""
        parts = (_get(metadata, "namespace"), _get(metadata, "name"))
        namespace, name = (p if isinstance(p, str) else None for p in parts)
        return reference(kind, namespace, name or "")


_FORCED = {FORCE: "true"}


def _get(metadata: Any, field: str) -> Any:
    if isinstance(metadata, Mapping):
        return metadata.get(field)
    return getattr(metadata, field, None)


def _with(metadata: Any, field: str, more: Mapping[str, str]) -> Any:
    """A copy of the metadata, of any of the forms it is written in, with more in it."""
    if isinstance(metadata, pulumi.Output):
        return metadata.apply(lambda known: _with(known, field, more))
    before = _get(metadata, field)
    if before is None or isinstance(before, Mapping):
        after: Any = {**(before or {}), **more}
    else:
        after = pulumi.Output.from_input(before).apply(lambda b: {**(b or {}), **more})
    if metadata is None or isinstance(metadata, Mapping):
        return {**(metadata or {}), field: after}
    changed = copy.copy(metadata)
    setattr(changed, field, after)
    return changed

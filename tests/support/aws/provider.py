"""Pulumi's protocol for providers, answered from a table of handlers.

The engine connects to it by PULUMI_DEBUG_PROVIDERS=aws:<port> and needs no plugin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import grpc  # type: ignore[import-untyped]
from botocore.exceptions import ClientError
from google.protobuf import (  # type: ignore[import-untyped]
    empty_pb2,
    json_format,
    struct_pb2,
)
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from slipway.rendering.recorder import plain
from tests.support.aws.account import Account, Call
from tests.support.aws.emulators import HOST, Endpoints
from tests.support.aws.handler import (
    TAGS,
    Change,
    Handler,
    NotFoundError,
    Properties,
)

Changes = provider_pb2.DiffResponse.DiffChanges

VERSION = metadata.version("pulumi-aws")
TAGS_ALL = "tagsAll"
WORKERS = 16
SETTINGS = frozenset({"region", "allowedAccountIds", "defaultTags", "version"})
"""What a provider may be given; more would pass in silence."""
PRESET = {
    "skipCredentialsValidation": "false",
    "skipRegionValidation": "true",
    "skipMetadataApiCheck": "true",
}
"""What the SDK itself adds to every provider (pulumi_aws/provider.py)."""


def _read(struct: struct_pb2.Struct) -> Properties:
    content: Properties = _given(plain(json_format.MessageToDict(struct)))
    return content


def _given(value: Any) -> Any:
    """Without nulls: to the provider these are what was left out."""
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_given(item) for item in value]
    return value


def _write(properties: Properties) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    json_format.ParseDict(properties, struct)
    return struct


def _type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _at(properties: Properties, path: str) -> Any:
    """The value at a path of names, None where there is none."""
    found: Any = properties
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _changes(changed: Collection[str]) -> Any:
    return Changes.DIFF_SOME if changed else Changes.DIFF_NONE


class AwsProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Makes every resource by its handler in the account of `endpoints`."""

    def __init__(self, handlers: Mapping[str, Handler], endpoints: Endpoints) -> None:
        self.handlers = handlers
        self.endpoints = endpoints
        self.account: Account | None = None
        self.default_tags: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        """What was done, in order: `create`, `update` or `delete`, and the URN."""
        self.sent: list[Call] = []
        """The same as calls of AWS's API."""
        self.before: Callable[[str, str], None] = lambda verb, urn: None
        """Called before each of these; what it raises fails the call."""

    # The provider itself

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        schema = {"name": "aws", "version": VERSION}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        given = _read(request.news)
        failures = [
            provider_pb2.CheckFailure(property=key, reason=f"not known to {__name__}")
            for key, value in given.items()
            if key not in SETTINGS and PRESET.get(key) != value
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        old, new = _read(request.old_inputs), _read(request.news)
        changed = sorted(key for key in old | new if old.get(key) != new.get(key))
        return provider_pb2.DiffResponse(
            changes=_changes(changed),
            diffs=changed,
            replaces=[key for key in changed if key == "region"],
        )

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        given = _read(request.args)
        with _told(context):
            self.account = Account(self.endpoints, given["region"], self.sent)
            self.default_tags = _decoded(given.get("defaultTags", {})).get("tags", {})
            allowed = _decoded(given.get("allowedAccountIds", []))
            found = self.account.client("sts").get_caller_identity()["Account"]
            if allowed and found not in allowed:
                raise PermissionError(f"account {found} is not one of {allowed}")
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"{request.tok}: the program looks nothing up in the account",
        )

    # Resources

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = _type(request.urn)
        handler = self.handlers.get(kind)
        if handler is None:
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"no handler for {kind}: add one below tests/support/aws",
            )
            raise AssertionError
        given = _read(request.news)
        unknown = [
            (key, f"the handler of {kind} does not know it")
            for key in sorted(given.keys() - handler.known())
        ]
        missing = [
            (key, f"{kind} needs it") for key in sorted(handler.required - given.keys())
        ]
        failures = [
            provider_pb2.CheckFailure(property=key, reason=reason)
            for key, reason in unknown + missing
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        handler = self._handler(request)
        old, new = _read(request.old_inputs), _read(request.news)
        changed = {key for key in old | new if old.get(key) != new.get(key)}
        replacing = changed - handler.updates - {TAGS}
        for path in handler.replaces:
            if _at(old, path) != _at(new, path):
                replacing.add(path.partition(".")[0])
        if handler.taggable:
            was = _read(request.olds).get(TAGS_ALL)
            changed |= {TAGS_ALL} if was != self._tags(new) else set()
        return provider_pb2.DiffResponse(
            changes=_changes(changed),
            diffs=sorted(changed),
            replaces=sorted(replacing),
            deleteBeforeReplace=bool(replacing),
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs = _read(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        handler = self._handler(request)
        with self._doing("create", request.urn, context) as account:
            made = handler.create(account, self._complete(handler, inputs))
        return provider_pb2.CreateResponse(
            id=made.id, properties=_write(self._state(handler, inputs, made.outputs))
        )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        old, new = _read(request.old_inputs), _read(request.news)
        handler = self._handler(request)
        before = _read(request.olds)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_write(before | new))
        # Names that are not inputs are outputs of the resource itself.
        told = {k: v for k, v in before.items() if k not in handler.known()}
        if handler.taggable:
            old = old | {TAGS: before[TAGS_ALL]}
        change = Change(old, self._complete(handler, new), before)
        with self._doing("update", request.urn, context) as account:
            changed = handler.update(account, request.id, change)
        state = self._state(handler, new, told | changed)
        return provider_pb2.UpdateResponse(properties=_write(state))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        handler = self._handler(request)
        assert self.account is not None, "the engine configures before it asks"
        try:
            found = handler.read(self.account, request.id, _read(request.properties))
        except (NotFoundError, ClientError) as error:
            if not _absent(error):
                with _told(context):
                    raise
            return provider_pb2.ReadResponse()
        inputs = handler.live(found, _read(request.inputs))
        state = _read(request.properties) | inputs
        return provider_pb2.ReadResponse(
            id=request.id, properties=_write(state), inputs=_write(inputs)
        )

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        handler = self._handler(request)
        with self._doing("delete", request.urn, context) as account:
            handler.delete(account, request.id, _read(request.properties))
        return empty_pb2.Empty()

    def _handler(self, request: Any) -> Handler:
        return self.handlers[_type(request.urn)]

    def _tags(self, inputs: Properties) -> dict[str, str]:
        return self.default_tags | (inputs.get(TAGS) or {})

    def _complete(self, handler: Handler, inputs: Properties) -> Properties:
        return inputs | ({TAGS: self._tags(inputs)} if handler.taggable else {})

    def _state(
        self, handler: Handler, inputs: Properties, told: Properties
    ) -> Properties:
        tags = {TAGS_ALL: self._tags(inputs)} if handler.taggable else {}
        return inputs | told | tags

    @contextmanager
    def _doing(self, verb: str, urn: str, context: Any) -> Iterator[Account]:
        """Has the call recorded; turns what it raises into the engine's error."""
        with _told(context):
            assert self.account is not None, "the engine configures before it asks"
            self.before(verb, urn)
            yield self.account
        self.calls.append((verb, urn))


@contextmanager
def _told(context: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 whatever it is, the engine shows it
        text = f"{type(error).__name__}: {error}"
        context.abort(grpc.StatusCode.UNKNOWN, text)


ABSENT = ("NotFound", "NoSuch", "404", "NonExistentQueue")
"""What the codes of AWS's errors have in them if there is no such thing."""


def _absent(error: Exception) -> bool:
    """Whether the error says that there is no such thing."""
    if isinstance(error, ClientError):
        return any(part in error.response["Error"]["Code"] for part in ABSENT)
    return isinstance(error, NotFoundError)


def _decoded(value: Any) -> Any:
    """A provider's settings that are not strings arrive as JSON."""
    return json.loads(value) if isinstance(value, str) else value


@contextmanager
def serving(provider: AwsProvider) -> Iterator[str]:
    """Serves it on a free port; gives what PULUMI_DEBUG_PROVIDERS is to be."""
    server = grpc.server(ThreadPoolExecutor(WORKERS))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        yield f"aws:{port}"
    finally:
        server.stop(grace=1).wait()

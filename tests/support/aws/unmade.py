"""The same provider over no account: nothing is made, so that previews cost nothing."""

from __future__ import annotations

from typing import Any

from pulumi.runtime.proto import provider_pb2

from tests.support.aws.emulators import Endpoints
from tests.support.aws.provider import AwsProvider, _read, _write
from tests.support.aws.table import HANDLERS

NOWHERE = Endpoints("111122223333", "http://127.0.0.1:1", "http://127.0.0.1:1")


class UnmadeProvider(AwsProvider):
    """Reports every resource as created as declared; knows which changes replace it."""

    def __init__(self) -> None:
        super().__init__(HANDLERS, NOWHERE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs = _read(request.properties)
        state = self._state(self._handler(request), inputs, {})
        return provider_pb2.CreateResponse(id="made", properties=_write(state))

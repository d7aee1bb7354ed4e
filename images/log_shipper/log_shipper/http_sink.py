"""Sends files to the receiver of a model monitor."""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from log_shipper.addresses import HttpAddress
from log_shipper.backoff import retry_after
from log_shipper.finished_file import READ_BYTES, FinishedFile
from log_shipper.sink import Refusal, RefusedError, Retry, UnavailableError

LONGEST_ATTEMPT_SECONDS = 600.0
"""Time limit of a whole file: a very slow sink never exceeds the timeout of one
read."""
SEND_BUFFER_BYTES = 256 << 10
"""Size of the kernel's send buffer. By default it takes MBs, and the wait for the
response would include the time in which a slow sink reads them."""
_TOKEN = re.compile(r"[!-~]+")
ANSWER_BYTES = 2_000
"""Length of a response body that is shown as the reason."""

CONFIRMED = (HTTPStatus.OK, HTTPStatus.CREATED)
REFUSED: Mapping[int, Refusal] = {
    HTTPStatus.CONFLICT: Refusal.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Refusal.TOO_LARGE,
}
"""Statuses that are about this file. Any other may come from a wrong address or a
proxy, and would set every file aside: the file is sent again."""
RETRIED: Mapping[int, Retry] = {
    HTTPStatus.UNAUTHORIZED: Retry.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: Retry.UNAUTHORIZED,
    HTTPStatus.TOO_MANY_REQUESTS: Retry.BUSY,
    HTTPStatus.SERVICE_UNAVAILABLE: Retry.BUSY,
    HTTPStatus.INSUFFICIENT_STORAGE: Retry.BUSY,
}


class HttpSink:
    """PUT /v1/logs/NAME, with a connection of its own for each file.

    Files go out once a minute: an idle connection would be closed by then, and a file
    sent on a closing one fails without a reason. Token and CA are read anew each time,
    because mounted secrets rotate.
    """

    def __init__(
        self,
        address: HttpAddress,
        token_file: Path | None,
        ca_file: Path | None,
        timeout_seconds: float,
    ) -> None:
        self._address = address
        self._token_file, self._ca_file = token_file, ca_file
        self._timeout = timeout_seconds

    def send(self, file: FinishedFile) -> None:
        headers = self._headers(file)
        connection = self._connection()
        limit = threading.Timer(LONGEST_ATTEMPT_SECONDS, _abort, [connection])
        limit.daemon = True
        limit.start()
        try:
            answer = self._exchange(connection, file, headers)
            _judge(answer, self._address)
        except TimeoutError as error:
            raise self._unavailable(Retry.TIMEOUT, error) from error
        except ssl.SSLError as error:
            raise self._unavailable(Retry.TLS, error) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._unavailable(Retry.CONNECTION, error) from error
        finally:
            limit.cancel()
            connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        file: FinishedFile,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        path = f"{self._address.path}/v1/logs/{file.name}"
        connection.connect()
        connection.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES
        )
        # A receiver that refuses a file early answers and closes: its answer can still
        # be read.
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError, ssl.SSLEOFError
        ):
            connection.request("PUT", path, file.compressed(), headers)
        return connection.getresponse()

    def _headers(self, file: FinishedFile) -> dict[str, str]:
        digest = base64.b64encode(file.sha256).decode()
        headers = {
            "Content-Type": "application/gzip",
            "Content-Length": str(file.compressed_bytes),
            "Content-Digest": f"sha-256=:{digest}:",  # RFC 9530
            "User-Agent": "log-shipper",
        }
        if self._token_file:
            headers["Authorization"] = f"Bearer {_token(self._token_file)}"
        return headers

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._address.host, self._address.port
        if not self._address.secure:
            return http.client.HTTPConnection(
                host, port, timeout=self._timeout, blocksize=READ_BYTES
            )
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:  # ssl.SSLError is one
            reason = f"the CA in {self._ca_file} cannot be read: {error}"
            raise UnavailableError(Retry.TLS, reason) from error
        return http.client.HTTPSConnection(
            host, port, timeout=self._timeout, blocksize=READ_BYTES, context=context
        )

    def _unavailable(self, retry: Retry, error: Exception) -> UnavailableError:
        what = str(error) or type(error).__name__
        return UnavailableError(retry, f"{self._address.base}: {what}")


def _token(file: Path) -> str:
    try:
        token = file.read_text().strip()
    except (OSError, ValueError) as error:
        reason = f"{file} cannot be read: {error}"
        raise UnavailableError(Retry.UNAUTHORIZED, reason) from error
    if not _TOKEN.fullmatch(token):
        raise UnavailableError(Retry.UNAUTHORIZED, f"{file} holds no token")
    return token


def _judge(answer: http.client.HTTPResponse, address: HttpAddress) -> None:
    """Return if the answer confirms the file; raise what else it means."""
    if answer.status in CONFIRMED:
        return
    try:
        said = answer.read(ANSWER_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        said = ""
    reason = f"{address.base} answered {answer.status}: {said}"
    if refusal := REFUSED.get(answer.status):
        raise RefusedError(refusal, reason)
    retry = RETRIED.get(answer.status, Retry.STATUS)
    raise UnavailableError(retry, reason, retry_after(answer.getheader("Retry-After")))


def _abort(connection: http.client.HTTPConnection) -> None:
    """End whatever the connection waits for, from another thread."""
    with contextlib.suppress(OSError, AttributeError):
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

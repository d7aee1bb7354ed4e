"""Keeps the alerts that Alertmanager sends, so that a person or a test can read them.

POST /alerts   Alertmanager's webhook, version 4: each alert in it becomes one record
GET  /alerts   the last records, oldest first; ?name= and ?status= select
GET  /healthz  200 while it serves
GET  /metrics  counters for Prometheus

Settings, by environment: ALERT_RECORDER_PORT (9095), ALERT_RECORDER_FOLDER (JSON lines
are also written there; empty: memory only). Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter, deque
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Record = dict[str, Any]

MAXIMUM_RECORDS = 1_000
MAXIMUM_BODY_BYTES = 1 << 20
MAXIMUM_FILE_BYTES = 8 << 20
FILES_KEPT = 3
MAXIMUM_REQUESTS = 16
REQUEST_TIMEOUT_SECONDS = 5.0
FIELDS = ("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint")


class Refusal(Exception):  # noqa: N818 (an answer, not a fault of ours)
    """A request that is answered with an error status."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def parse(body: bytes, received: datetime) -> list[Record]:
    """One record per alert of a webhook body; Refusal says what is wrong with it."""
    try:
        message = json.loads(body)
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"body is not JSON: {error}") from error
    alerts = message.get("alerts") if isinstance(message, dict) else None
    if not isinstance(alerts, list):
        raise Refusal(HTTPStatus.BAD_REQUEST, "body has no list `alerts`")
    records = []
    for index, alert in enumerate(alerts):
        if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
            raise Refusal(
                HTTPStatus.BAD_REQUEST, f"alerts[{index}] has no object `labels`"
            )
        record: Record = {"received": received.isoformat(timespec="milliseconds")}
        record |= {field: alert.get(field) for field in FIELDS}
        record["receiver"] = message.get("receiver")
        record["groupKey"] = message.get("groupKey")
        records.append(record)
    return records


class Store:
    """The last records in memory, all of them in rotated files if a folder is given."""

    def __init__(self, folder: Path | None) -> None:
        self.counts: Counter[str] = Counter()
        self._path = folder / "alerts.jsonl" if folder else None
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(maxlen=MAXIMUM_RECORDS)
        for path in reversed(self._files()):
            self._read(path)

    def add(self, records: list[Record]) -> None:
        with self._lock:
            for record in records:
                self._records.append(record)
                firing = record["status"] == "firing"
                self.counts["firing" if firing else "resolved"] += 1
            try:
                self._write(records)
            except OSError as error:
                # A full disk must not lose the alert that may well be about it.
                self.counts["write_error"] += 1
                log(f"records not written: {error}", level="error")

    def select(self, name: str, status: str) -> list[Record]:
        """Records in the order of arrival; an empty argument selects all."""
        with self._lock:
            records = list(self._records)
        return [
            record
            for record in records
            if name in ("", record["labels"].get("alertname"))
            and status in ("", record["status"])
        ]

    def _files(self) -> list[Path]:
        """All files there are, the newest first."""
        if self._path is None:
            return []
        older = [Path(f"{self._path}.{n}") for n in range(1, FILES_KEPT)]
        return [path for path in [self._path, *older] if path.is_file()]

    def _read(self, path: Path) -> None:
        for line in path.read_text(errors="replace").splitlines():
            try:
                self._records.append(json.loads(line))
            except ValueError:
                self.counts["unreadable"] += 1  # cut off by a crash

    def _write(self, records: list[Record]) -> None:
        if self._path is None:
            return
        with self._path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
            size = file.tell()
        if size >= MAXIMUM_FILE_BYTES:
            for number in range(FILES_KEPT - 1, 0, -1):
                newer = f"{self._path}.{number - 1}" if number > 1 else self._path
                if Path(newer).is_file():
                    Path(newer).replace(f"{self._path}.{number}")


class Handler(BaseHTTPRequestHandler):
    """One request; the server's `store` holds the records."""

    timeout = REQUEST_TIMEOUT_SECONDS
    server: Server

    def do_GET(self) -> None:
        self._answer_with(self._get)

    def do_POST(self) -> None:
        self._answer_with(self._post)

    def _get(self) -> tuple[str, str]:
        url = urlsplit(self.path)
        if url.path == "/alerts":
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            found = self.server.store.select(
                query.get("name", ""), query.get("status", "")
            )
            return "application/json", json.dumps(found)
        if url.path == "/healthz":
            return "application/json", '{"status": "ok"}'
        if url.path == "/metrics":
            return "text/plain; version=0.0.4", metrics(self.server.store)
        raise Refusal(HTTPStatus.NOT_FOUND, f"nothing at {url.path}")

    def _post(self) -> tuple[str, str]:
        if urlsplit(self.path).path != "/alerts":
            raise Refusal(HTTPStatus.NOT_FOUND, f"nothing at {self.path}")
        length = self.headers.get("content-length", "")
        if not length.isdigit():
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "content-length is missing")
        if int(length) > MAXIMUM_BODY_BYTES:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"body has {length} bytes, {MAXIMUM_BODY_BYTES} are allowed",
            )
        body = self.rfile.read(int(length))
        records = parse(body, datetime.now(UTC))
        self.server.store.add(records)
        for record in records:
            log("alert", status=record["status"], labels=record["labels"])
        return "application/json", json.dumps({"recorded": len(records)})

    def _answer_with(self, make: Any) -> None:
        status = HTTPStatus.OK
        try:
            kind, text = make()
        except Refusal as refusal:
            status = refusal.status
            kind, text = "application/json", json.dumps({"error": str(refusal)})
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing of each request: alerts are logged, probes are not."""


class Server(ThreadingHTTPServer):
    """A thread per request, at most MAXIMUM_REQUESTS of them; more wait in line."""

    daemon_threads = False  # so that closing waits for requests that are under way

    def __init__(self, address: tuple[str, int], store: Store) -> None:
        super().__init__(address, Handler)
        self.store = store
        self._slots = threading.BoundedSemaphore(MAXIMUM_REQUESTS)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._slots.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, *_: object) -> None:
        """A caller that hung up is no news."""
        log(f"request failed: {sys.exc_info()[1]}", level="warning")


def metrics(store: Store) -> str:
    """Prometheus text of the store's counters."""
    counts = store.counts
    return (
        "# HELP alert_recorder_alerts_total Alerts received, by status.\n"
        "# TYPE alert_recorder_alerts_total counter\n"
        f'alert_recorder_alerts_total{{status="firing"}} {counts["firing"]}\n'
        f'alert_recorder_alerts_total{{status="resolved"}} {counts["resolved"]}\n'
        "# HELP alert_recorder_write_errors_total Records not written to a file.\n"
        "# TYPE alert_recorder_write_errors_total counter\n"
        f"alert_recorder_write_errors_total {counts['write_error']}\n"
    )


def log(message: str, level: str = "info", **fields: Any) -> None:
    """One JSON line on standard output."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = {"time": time, "level": level, "message": message} | fields
    print(json.dumps(record), flush=True)


def main() -> None:
    port = int(os.environ.get("ALERT_RECORDER_PORT", "9095"))
    name = os.environ.get("ALERT_RECORDER_FOLDER", "")
    server = Server(("", port), Store(Path(name) if name else None))

    def stop(number: int, _frame: object) -> None:
        log(f"stopping on {signal.Signals(number).name}")
        # shutdown() waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log(f"listening on port {server.server_port}", folder=name or None)
    server.serve_forever()
    server.server_close()
    log("stopped")


if __name__ == "__main__":
    main()

"""Log files that come over HTTP: each name once, within bounds."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from model_monitor.receiver import ReceiverSettings, application
from model_monitor.store import Limits, Store, ingest
from prometheus_client import CollectorRegistry

from tests.support.monitor_records import NAME, NOW, land, prediction, text, tree

CONTENT = gzip.compress(text([prediction()]))
OTHER = gzip.compress(text([prediction(id="else")]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("old-token\nnew-token\n")
    return path


class Client:
    """Asks one receiver, in this process."""

    def __init__(
        self, store: Store, limits: Limits | None = None, **given: Any
    ) -> None:
        self.registry = CollectorRegistry()
        settings = ReceiverSettings(**given)
        self.app = application(store, settings, self.registry, limits)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://monitor"
            ) as client:
                return await client.request(method, path, **options)

        return asyncio.run(run())

    def put(
        self, content: Any = CONTENT, name: str = NAME, **headers: str
    ) -> httpx.Response:
        shown = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.ask("PUT", f"/v1/logs/{name}", content=content, headers=shown)

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def code(answer: httpx.Response) -> str:
    """The code of an error, all of whose parts are there."""
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "fix"}
    assert all(error.values())
    return str(error["code"])


def test_a_file_lands_and_is_ingested(store: Store) -> None:
    client = Client(store)
    answer = client.put()
    assert (answer.status_code, answer.json()) == (
        201,
        {"name": NAME, "result": "received"},
    )
    assert (store.landing / NAME).read_bytes() == CONTENT
    assert ingest(store, now=lambda: NOW).files == {"ingested": 1}
    assert client.count("monitor_files_total", result="received") == 1
    assert client.count("monitor_received_bytes_total") == len(CONTENT)


def test_the_same_file_again_changes_nothing(store: Store) -> None:
    client = Client(store)
    client.put()
    # Another zlib compresses to other bytes.
    again = gzip.compress(text([prediction()]), 1)
    for step in ("landed", "ingested"):
        before = tree(store.root)
        answer = client.put(again)
        assert (answer.status_code, answer.json()["result"]) == (200, "repeated"), step
        assert tree(store.root) == before
        ingest(store, now=lambda: NOW)
    assert client.count("monitor_files_total", result="repeated") == 2


def test_another_file_of_the_same_name_is_refused(store: Store) -> None:
    client = Client(store)
    client.put()
    for _ in ("landed", "ingested"):
        before = tree(store.root)
        answer = client.put(OTHER)
        assert (answer.status_code, code(answer)) == (409, "name_taken")
        assert tree(store.root) == before
        ingest(store, now=lambda: NOW)
    assert client.count("monitor_files_total", result="conflict") == 2


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer new-toke",
        "Basic new-token",
        "Digest new-token",
        "new-token",
        "Bearer old-token new-token",
        "Bearer \u00fc",
    ],
)
def test_a_wrong_token_is_refused_before_the_body(
    store: Store, tokens: Path, given: str
) -> None:
    client = Client(store, log_tokens=tokens)
    headers = {"authorization": given.encode("latin-1")} if given else {}
    answer = client.ask("PUT", f"/v1/logs/{NAME}", content=CONTENT, headers=headers)
    assert (answer.status_code, code(answer)) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not list(store.landing.glob("*.gz"))


def test_each_token_of_the_file_is_good_and_a_new_file_counts_at_once(
    store: Store, tokens: Path
) -> None:
    client = Client(store, log_tokens=tokens)
    assert client.put(authorization="Bearer old-token").status_code == 201
    assert client.put(authorization="bearer new-token").status_code == 200
    tokens.write_text("third\n")
    assert client.put(authorization="Bearer new-token").status_code == 401
    assert client.put(authorization="Bearer third").status_code == 200


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_without_a_token_nobody_may_send(
    store: Store, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "no-tokens"
    if content is not None:
        path.write_text(content)
    answer = Client(store, log_tokens=path).put(authorization="Bearer ")
    assert (answer.status_code, code(answer)) == (503, "no_token")


@pytest.mark.parametrize(
    "name",
    [
        "other.jsonl.gz",
        "predictions-a.txt",
        ".tmp-1",
        "predictions-a%20b.jsonl.gz",
        "predictions-%00.jsonl.gz",
        "predictions-..%5C.jsonl.gz",
    ],
)
def test_other_names_are_refused(store: Store, name: str) -> None:
    answer = Client(store).put(name=name)
    assert (answer.status_code, code(answer)) == (400, "bad_name")


@pytest.mark.parametrize("name", ["..%2F..%2Fpredictions-a.jsonl.gz", "../../x", ""])
def test_paths_lead_nowhere(store: Store, name: str) -> None:
    before = tree(store.root.parent)
    assert Client(store).put(name=name).status_code in {400, 404}
    assert tree(store.root.parent) == before


@pytest.mark.parametrize(
    ("content", "status", "expected"),
    [
        (b"no gzip", 422, "not_gzip"),
        (b"", 422, "not_gzip"),
        (CONTENT[:-9], 422, "truncated_gzip"),
        (CONTENT[:-8] + b"\0" * 8, 422, "damaged_gzip"),
        (gzip.compress(b" " * 100_001), 413, "too_large"),
    ],
)
def test_what_could_not_be_read_does_not_land(
    store: Store, content: bytes, status: int, expected: str
) -> None:
    client = Client(store, Limits(text_bytes=100_000))
    answer = client.put(content)
    assert (answer.status_code, code(answer)) == (status, expected)
    assert not any(path.is_file() for path in store.landing.rglob("*"))
    assert client.count("monitor_files_total", result="refused") == 1


def test_a_content_digest_is_checked(store: Store) -> None:
    right = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(OTHER).digest()).decode()
    client = Client(store)
    answer = client.put(content_digest=f"sha-256=:{wrong}:")
    assert (answer.status_code, code(answer)) == (400, "damaged")
    assert (
        client.put(content_digest=f"md5=:AA==:, sha-256=:{right}:").status_code == 201
    )


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_beyond_the_bound_is_refused(
    store: Store, *, is_announced: bool
) -> None:
    content: Any = b"x" * 101 if is_announced else pieces(b"x" * 60, b"x" * 41)
    answer = Client(store, log_bytes=100).put(content)
    assert (answer.status_code, code(answer)) == (413, "too_large")
    assert answer.headers["connection"] == "close"
    assert not list(store.landing.glob(".tmp-*"))


def test_a_full_landing_makes_shippers_wait(store: Store) -> None:
    land(store, [prediction()], "predictions-h-0.jsonl.gz")
    waiting = (store.landing / "predictions-h-0.jsonl.gz").stat().st_size
    client = Client(store, quota_bytes=waiting + len(CONTENT) - 1)
    answer = client.put()
    assert (answer.status_code, code(answer)) == (507, "quota")
    assert int(answer.headers["retry-after"]) > 0
    # Once the waiting file is read, there is room.
    ingest(store, now=lambda: NOW)
    assert client.put().status_code == 201


def test_a_slow_sender_is_cut_off(store: Store) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield CONTENT[:10]
        await asyncio.sleep(60)

    answer = Client(store, body_seconds=0.05).put(slow())
    assert (answer.status_code, code(answer)) == (408, "too_slow")
    assert not list(store.landing.glob(".tmp-*"))


def test_so_many_requests_at_a_time(store: Store) -> None:
    client = Client(store, requests=2)

    async def run() -> list[int]:
        release = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield CONTENT[:10]
            await release.wait()
            yield CONTENT[10:]

        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as asker:

            def put(number: int) -> Any:
                path = f"/v1/logs/predictions-h-{number}.jsonl.gz"
                return asyncio.create_task(asker.put(path, content=body()))

            first = [put(1), put(2)]
            while len(list(store.landing.glob(".tmp-*"))) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            third = await put(3)
            release.set()
            answers = [await task for task in first]
            fourth = await put(4)
        return [
            third.status_code,
            *(it.status_code for it in answers),
            fourth.status_code,
        ]

    assert asyncio.run(run()) == [503, 201, 201, 201]


def test_the_same_name_from_two_at_a_time_lands_once(store: Store) -> None:
    client = Client(store)

    async def run() -> list[int]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as asker:
            asked = [
                asker.put(f"/v1/logs/{NAME}", content=content)
                for content in (CONTENT, OTHER, CONTENT, OTHER)
            ]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert sorted(asyncio.run(run())) == [200, 201, 409, 409]


def test_a_full_disk_is_reported_as_such(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "model_monitor.store.whole_files.put",
        lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    answer = Client(store).put()
    assert (answer.status_code, code(answer)) == (507, "disk_full")


def test_a_fault_of_ours_is_an_answer_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "model_monitor.store.whole_files.put",
        lambda *_: (_ for _ in ()).throw(RuntimeError),
    )
    answer = Client(store).put()
    assert (answer.status_code, code(answer)) == (500, "internal")


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", f"/v1/logs/{NAME}", 405, "method_not_allowed"),
        ("GET", "/v1/labels", 405, "method_not_allowed"),
        ("GET", "/", 404, "not_found"),
    ],
)
def test_other_requests(
    store: Store, method: str, path: str, status: int, expected: str
) -> None:
    answer = Client(store).ask(method, path)
    assert (answer.status_code, code(answer)) == (status, expected)


def test_health(store: Store, tmp_path: Path) -> None:
    assert Client(store).ask("GET", "/healthz").json() == {"status": "ok"}
    gone = Client(Store(tmp_path / "nowhere")).ask("GET", "/healthz")
    assert gone.status_code == 503


def test_the_counters_of_a_run(store: Store) -> None:
    from model_monitor.receiver import Counters

    registry = CollectorRegistry()
    counters = Counters(registry, known_models={"employment"})
    land(store, [prediction(), prediction(model="x"), prediction(model="y"), b"bad"])
    counters.ingested(ingest(store, now=lambda: NOW))
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert found["monitor_files_total", "ingested"] == 1
    assert found["monitor_records_total", "employment"] == 1
    assert found["monitor_records_total", "unknown"] == 2
    assert found["monitor_quarantined_total", "not_json"] == 1
    assert json.dumps(sorted(map(str, found)))

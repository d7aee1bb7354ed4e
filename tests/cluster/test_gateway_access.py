"""Access at the lab's gateway: TLS, keys, tokens, rates and bodies, on real Envoy."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx
import pytest

from components.platform import gateway_tls, own_ca
from lab.lab import Lab
from slipway import images
from slipway.cluster.kube_api import KubeApi
from slipway.engine import workspace
from slipway.local import command as local
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.gateway_access import (
    AUDIENCE,
    BODY_KIB,
    CLIENT,
    KEY,
    KEYS,
    PLATFORM,
    RATE,
    TOKENS,
    AccessStack,
)
from tests.support.kube import wait_until
from tests.support.tokens import ISSUER, Issuer

KEYED, TOKENED = f"/{KEYS}/v1/infer", f"/{TOKENS}/v1/infer"
FOLLOWS_SECONDS = 10
"""Until the gateway has followed a change of a Secret or of a route."""


def say(text: str) -> None:
    print(f"\n  {text}", end="", flush=True)


@pytest.fixture(scope="module")
def access_stack(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AccessStack]:
    root: Path = tmp_path_factory.mktemp("access") / "checkout"
    with KubeApi.of_kubeconfig(cluster.kube.kubeconfig.read_text()) as api:
        found = AccessStack(root, api, cluster.urls, Issuer())
        try:
            found.up()
            yield found
        finally:
            found.down()


@pytest.fixture(scope="module")
def body() -> bytes:
    return oip.request(images.real_rows("employment", 1)[0])


@pytest.fixture(scope="module")
def client(access_stack: AccessStack, body: bytes) -> Iterator[httpx.Client]:
    with access_stack.client() as found:
        # Both routes are there: the access policies refuse, not Envoy's 404.
        for path in (KEYED, TOKENED):
            await_status(401, found, path, body)
        yield found


def post(
    client: httpx.Client, path: str, body: bytes, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(
        path, content=body, headers={"content-type": "application/json", **named}
    )


def await_status(
    status: int, client: httpx.Client, path: str, body: bytes, **headers: str
) -> float:
    """Seconds until the gateway answers so; no more than it may take to follow."""

    def answers() -> bool:
        return post(client, path, body, **headers).status_code == status

    start = time.monotonic()
    wait_until(answers, FOLLOWS_SECONDS, f"{status} from {path}", 0.2)
    return time.monotonic() - start


def refused(answer: httpx.Response, status: int, code: str) -> None:
    """The gateway says it in the form of the model server."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["code"] == code
    assert answer.json()["error"]


# TLS


def handshake(
    urls: dict[str, str], context: ssl.SSLContext, name: str = "localhost"
) -> ssl.SSLSocket:
    url = httpx.URL(urls["gateway-tls"])
    plain = socket.create_connection((url.host, url.port or 443), timeout=10)
    return context.wrap_socket(plain, server_hostname=name)


def old(version: ssl.TLSVersion, ciphers: str = "DEFAULT") -> ssl.SSLContext:
    """A client of that version at most, which takes anything that it is offered."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = version
    return context


def test_only_who_trusts_the_labs_authority_is_satisfied(
    access_stack: AccessStack,
) -> None:
    trusting = ssl.create_default_context(cafile=access_stack.authority)
    for name in ("localhost", "127.0.0.1"):
        with handshake(access_stack.urls, trusting, name) as connected:
            assert connected.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get"):
        handshake(access_stack.urls, ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError, match=r"doesn't match|mismatch"):
        handshake(access_stack.urls, trusting, "models.example.com")
    assert local.files()["gateway CA"] == access_stack.authority


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_and_ciphers_are_refused(access_stack: AccessStack) -> None:
    with handshake(access_stack.urls, old(ssl.TLSVersion.TLSv1_2)) as connected:
        assert connected.version() == "TLSv1.2", "the control"
    with pytest.raises(ssl.SSLError, match=r"protocol version|PROTOCOL_VERSION"):
        handshake(access_stack.urls, old(ssl.TLSVersion.TLSv1_1))
    weak = "ECDHE-ECDSA-AES128-SHA"
    with pytest.raises(ssl.SSLError, match=r"handshake failure|HANDSHAKE_FAILURE"):
        handshake(access_stack.urls, old(ssl.TLSVersion.TLSv1_2, weak))


def test_the_key_lies_nowhere_in_plain_text(access_stack: AccessStack) -> None:
    """Neither the gateway's nor a client's, in state, history or work files."""
    pair = own_ca.issue(own_ca.folder(PLATFORM), ["localhost", "127.0.0.1"], 90)
    secrets = (
        pair.key_pem.splitlines()[1],
        base64.b64encode(pair.key_pem.encode()).decode()[40:80],
        KEY,
        base64.b64encode(KEY.encode()).decode(),
    )
    backend = workspace.backend_folder()
    assert backend is not None
    files = [
        path
        for place in (backend, workspace.folder(PLATFORM).parent, access_stack.root)
        for path in place.rglob("*")
        if path.is_file()
    ]
    texts = {path: path.read_bytes().decode(errors="replace") for path in files}
    for shown in ("kubernetes.io/tls", f"{KEYS}-securitypolicy", "secure: v1:"):
        assert any(shown in text for text in texts.values()), f"the control: {shown}"
    found = [path for path, text in texts.items() if any(s in text for s in secrets)]
    assert found == []


# Keys


def test_without_a_key_or_with_a_wrong_one_nobody_comes_in(
    client: httpx.Client, body: bytes
) -> None:
    refused(post(client, KEYED, body), 401, "unauthorized")
    refused(post(client, KEYED, body, x_api_key="wrong"), 401, "unauthorized")
    refused(post(client, f"{KEYED}?x-api-key={KEY}", body), 401, "unauthorized")


def test_a_key_of_the_encrypted_settings_opens(
    client: httpx.Client, body: bytes
) -> None:
    answer = post(client, KEYED, body, x_api_key=KEY)
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"]


def test_a_key_opens_when_given_and_no_more_when_revoked(
    access_stack: AccessStack, client: httpx.Client, body: bytes
) -> None:
    key = "given-by-the-command-0123456789"
    refused(post(client, KEYED, body, x_api_key=key), 401, "unauthorized")
    access_stack.keys.add("alice", key)
    try:
        given = await_status(200, client, KEYED, body, x_api_key=key)
        assert access_stack.keys.clients() == ["alice", CLIENT]
    finally:
        access_stack.keys.revoke("alice")
    taken = await_status(401, client, KEYED, body, x_api_key=key)
    say(f"a key opens after {given:.1f} s, a revoked one no more after {taken:.1f} s")
    assert post(client, KEYED, body, x_api_key=KEY).status_code == 200, "the other's"


# Rates and bodies


def test_one_client_over_its_rate_does_not_stop_another(
    access_stack: AccessStack, client: httpx.Client, body: bytes
) -> None:
    keys = {name: f"{name}-0123456789-0123456789" for name in ("hasty", "calm")}
    for name, key in keys.items():
        access_stack.keys.add(name, key)
    for key in keys.values():
        await_status(200, client, KEYED, body, x_api_key=key)
    answers = [
        # A name that a client writes itself changes nothing.
        post(client, KEYED, body, x_api_key=keys["hasty"], x_client_id=f"other-{n}")
        for n in range(RATE + 10)
    ]
    seen = Counter(answer.status_code for answer in answers)
    say(f"{RATE} an hour, {len(answers)} sent at once: {dict(seen)}")
    assert set(seen) == {200, 429}
    assert RATE - 5 <= seen[200] <= RATE
    refused(answers[-1], 429, "rate_limited")
    assert answers[-1].headers["retry-after"] == "3600"
    assert post(client, KEYED, body, x_api_key=keys["calm"]).status_code == 200


def test_a_large_body_ends_at_the_gateway(client: httpx.Client, body: bytes) -> None:
    """Both with its length said and without."""
    fill = b" " * (BODY_KIB * 1024 - len(body) - 64)
    fits = post(client, KEYED, body + fill, x_api_key=KEY)
    assert fits.status_code == 200, fits.text
    large = body + b" " * BODY_KIB * 1024
    refused(post(client, KEYED, large, x_api_key=KEY), 413, "body_too_large")
    chunks = iter([large[:5000], large[5000:]])
    answer = client.post(KEYED, content=chunks, headers={"x-api-key": KEY})
    refused(answer, 413, "body_too_large")


# Tokens


def test_only_a_valid_token_for_us_opens(
    access_stack: AccessStack, client: httpx.Client, body: bytes
) -> None:
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "bob", "exp": now + 300}

    def answer(issuer: Issuer = access_stack.issuer, **other: object) -> httpx.Response:
        bearer = f"Bearer {issuer.token(**(good | other))}"
        return post(client, TOKENED, body, authorization=bearer)

    assert answer().status_code == 200
    refused(post(client, TOKENED, body), 401, "unauthorized")
    refused(answer(exp=now - 300), 401, "unauthorized")
    refused(answer(iss="https://other.example.com"), 401, "unauthorized")
    refused(answer(Issuer()), 401, "unauthorized")
    refused(answer(aud="another-service"), 403, "forbidden")
    token = access_stack.issuer.token(**good)
    in_address = post(client, f"{TOKENED}?access_token={token}", body)
    refused(in_address, 401, "unauthorized")


SNIFF = """
import json, socket, time
seen, end = b"", time.monotonic() + 6
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as packets:
    packets.settimeout(0.5)
    while time.monotonic() < end:
        try:
            seen += packets.recv(65536).lower()
        except TimeoutError:
            pass
print(json.dumps([b"x-client-subject: seen" in seen, b"authorization:" in seen]))
"""
"""What the network of a host carries for some seconds, in plain text."""


def test_the_token_does_not_reach_the_model(
    access_stack: AccessStack, cluster: Cluster, client: httpx.Client, body: bytes
) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "seen"}
    token = access_stack.issuer.token(**claims, exp=int(time.time()) + 300)
    chosen = f"app.kubernetes.io/instance={TOKENS}"
    (pod,) = cluster.kube.ready_pods(chosen)
    (host,) = [h for h in Lab().hosts() if h.name == pod["spec"]["nodeName"]]
    with ThreadPoolExecutor(1) as pool:
        sniffed = pool.submit(host.run, ["python3", "-c", SNIFF])
        while not sniffed.done():
            post(client, TOKENED, body, authorization=f"Bearer {token}")
            time.sleep(0.5)
    found = json.loads(sniffed.result().stdout)
    assert found == [True, False], "what the gateway says of the caller, not the token"


def test_tokens_are_counted_by_whom_they_name(
    access_stack: AccessStack, client: httpx.Client, body: bytes
) -> None:
    now = int(time.time())

    def status(**other: object) -> int:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, **other}
        bearer = f"Bearer {access_stack.issuer.token(**claims)}"
        return post(client, TOKENED, body, authorization=bearer).status_code

    seen = Counter(status(sub="hasty") for _ in range(RATE + 5))
    assert set(seen) == {200, 429}
    assert status(sub="calm") == 200
    nameless = Counter(status() for _ in range(RATE + 5))
    assert set(nameless) == {200, 429}, "tokens without a name share one rate"


# Renewal and redirect


class Handshakes:
    """New connections, one after the other, while something else goes on."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask, self._end = ask, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers: list[object] = []
        self.errors: list[OSError] = []

    def _run(self) -> None:
        while not self._end.wait(0.05):
            try:
                self.answers.append(self._ask())
            except OSError as error:
                self.errors.append(error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def test_up_renews_the_certificate_and_redirects_where_asked(
    access_stack: AccessStack, cluster: Cluster
) -> None:
    """Both at once, as each takes an `up` of the platform and one back."""
    trusting = ssl.create_default_context(cafile=access_stack.authority)

    def serial() -> object:
        with handshake(access_stack.urls, trusting) as connected:
            certificate = connected.getpeercert()
            assert certificate
            return certificate["serialNumber"]

    before = serial()
    plain = cluster.urls["gateway"]
    path = "/employment/v1/infer"
    body = oip.request(images.real_rows("employment", 1)[0])
    port = httpx.URL(access_stack.urls["gateway-tls"]).port or 443
    (own_ca.folder(PLATFORM) / "gateway.pem").unlink()
    try:
        with Handshakes(serial) as seen:
            access_stack.gateway(redirect=True, public_port=port)
            wait_until(lambda: serial() != before, 30, "the new certificate", 0.2)
        say(f"{len(seen.answers)} handshakes meanwhile: {dict(Counter(seen.answers))}")
        assert len(set(seen.answers)) == 2, "the old certificate, then the new one"
        assert not seen.errors

        def answer() -> httpx.Response:
            return httpx.post(plain + path, content=body, timeout=10)

        wait_until(
            lambda: answer().status_code == gateway_tls.STATUS, 30, "the redirect", 0.2
        )
        assert answer().headers["location"] == f"https://127.0.0.1:{port}{path}"
        with access_stack.client() as client:
            followed = client.post(plain + path, content=body, follow_redirects=True)
        assert followed.status_code == 200
        assert followed.json()["outputs"]
    finally:
        access_stack.gateway()
    wait_until(lambda: answer().status_code == 200, 30, "plain HTTP again", 0.2)

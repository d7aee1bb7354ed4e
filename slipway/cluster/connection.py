"""A client of the API server that a kubeconfig's context names.

Errors are KubeconfigError; secrets never get into their text.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from components.cluster.existing.kubeconfig_entries import Exec, User
from components.cluster.existing.kubeconfig_files import Access, KubeconfigError

TIMEOUT = httpx.Timeout(20, connect=5)
TOKEN_SECONDS = 600
"""Age at which a token is renewed; EKS accepts them for 15 minutes.
https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster"""
EXEC_SECONDS = 30
EXEC_GROUP = "client.authentication.k8s.io/"
_LONGEST = 300


class Bearer(httpx.Auth):
    """A token that is renewed before it expires, or when the server rejects it."""

    def __init__(self, make: Callable[[], str], token: str = "") -> None:
        self._make, self._token, self._made = make, token, time.monotonic()

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        fresh = not self._token or time.monotonic() - self._made > TOKEN_SECONDS
        if fresh:
            self._renew()
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and not fresh:
            self._renew()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _renew(self) -> None:
        self._token, self._made = self._make(), time.monotonic()


@dataclass(frozen=True)
class _Credential:
    """The output of an `exec` program."""

    token: str = ""
    certificate: str = ""
    key: str = ""


def client(access: Access) -> httpx.Client:
    """A client of the context's API server; KubeconfigError.

    An `exec` program is run once here, so that its errors are reported at once.
    """
    auth, exec_credential = _auth(access)
    place = access.cluster
    hooks: dict[str, list[Any]] = {}
    if place.tls_server_name:

        def name_server(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = place.tls_server_name

        hooks["request"] = [name_server]
    try:
        return httpx.Client(
            base_url=place.server,
            verify=_tls(access, exec_credential),
            auth=auth,
            timeout=TIMEOUT,
            proxy=place.proxy_url or None,
            event_hooks=hooks,
        )
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise KubeconfigError(
            f"the cluster's server or proxy-url is not a valid address ({error})",
            "give addresses of the form https://<host>:<port>",
        ) from None


def require_usable(access: Access) -> None:
    """Raise KubeconfigError if a certificate or the `exec` program is missing.

    Runs nothing and sends no request.
    """
    _tls(access, _Credential())
    if access.user.exec:
        _program(access.user.exec, access.user_folder)
    elif access.user.token_file:
        _read(access.user_folder, access.user.token_file, "tokenFile")


def _auth(access: Access) -> tuple[httpx.Auth | None, _Credential]:
    user, folder = access.user, access.user_folder
    nothing = _Credential()
    if user.token_file:
        file = user.token_file
        first = _read(folder, file, "tokenFile").strip()
        return Bearer(lambda: _read(folder, file, "tokenFile").strip(), first), nothing
    if user.token:
        return Bearer(lambda: user.token), nothing
    if user.exec:
        run = user.exec
        found = _run(run, access)
        auth = Bearer(lambda: _run(run, access).token, found.token)
        return (auth if found.token else None), found
    if user.username:
        return httpx.BasicAuth(user.username, user.password), nothing
    return None, nothing


def _tls(access: Access, given: _Credential) -> ssl.SSLContext:
    place, folder = access.cluster, access.cluster_folder
    try:
        authority = _pem(
            folder, place.authority, place.authority_data, "certificate-authority"
        )
        context = ssl.create_default_context(cadata=authority or None)
        if place.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = given.certificate, given.key
        if not certificate:
            certificate, key = _client_certificate(access.user, access.user_folder)
        if certificate:
            with tempfile.NamedTemporaryFile("w") as file:  # only its owner can read it
                file.write(f"{certificate}\n{key}")
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError(
            f"a certificate of the context {access.context} cannot be read ({error})",
            "give PEM: in a file, or base64 of it under `...-data`",
        ) from None
    return context


def _client_certificate(user: User, folder: Path) -> tuple[str, str]:
    certificate = _pem(
        folder, user.certificate, user.certificate_data, "client-certificate"
    )
    return certificate, _pem(folder, user.key, user.key_data, "client-key")


def _pem(folder: Path, path: str, data: str, name: str) -> str:
    """Return PEM text; data in the kubeconfig takes precedence over a file."""
    if not data:
        return _read(folder, path, name) if path else ""
    try:
        return base64.b64decode(data, validate=False).decode()
    except ValueError:  # of base64, or of the text in it
        raise KubeconfigError(
            f"{name}-data is not base64-encoded PEM", "give `base64 -w0 < FILE`"
        ) from None


def _read(folder: Path, path: str, name: str) -> str:
    file = folder / path
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise KubeconfigError(
            f"{name} {file} cannot be read ({said})",
            "give a file that you can read; relative paths start at the kubeconfig",
        ) from None


def _program(run: Exec, folder: Path) -> str:
    """Return the program's path; one with a slash is relative to the kubeconfig."""
    if not run.api_version.startswith(EXEC_GROUP):
        raise KubeconfigError(
            f"exec's apiVersion is {run.api_version or 'not given'}",
            f"give {EXEC_GROUP}v1 or {EXEC_GROUP}v1beta1, whichever the program "
            "supports",
        )
    name = str(folder / run.command) if os.sep in run.command else run.command
    path = os.environ.get("PATH", "")
    for variable in run.env:
        path = variable.value if variable.name == "PATH" else path
    found = shutil.which(name, path=path) if run.command else None
    if found is None:
        raise KubeconfigError(
            f"there is no program {run.command or '(no command)'}, which the "
            "kubeconfig's `exec` runs for credentials",
            run.hint.strip()[:_LONGEST] or "install it, or put its folder on PATH",
        )
    return found


def _run(run: Exec, access: Access) -> _Credential:
    program = _program(run, access.user_folder)
    spec: dict[str, Any] = {"interactive": False}
    if run.cluster_info:
        spec["cluster"] = {
            "server": access.cluster.server,
            "certificate-authority-data": access.cluster.authority_data,
        }
    info = {"apiVersion": run.api_version, "kind": "ExecCredential", "spec": spec}
    given = {variable.name: variable.value for variable in run.env}
    try:
        done = subprocess.run(
            [program, *run.args],
            check=False,
            env={**os.environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=EXEC_SECONDS,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise _no_credential(run, str(error)) from None
    if done.returncode:
        said = done.stderr.strip()[:_LONGEST] or f"it ended with {done.returncode}"
        raise _no_credential(run, said)
    return _credential(run, done.stdout)


def _credential(run: Exec, text: str) -> _Credential:
    try:
        answer = json.loads(text)
        status = answer["status"]
        version = answer.get("apiVersion")
        found = _Credential(
            status.get("token") or "",
            status.get("clientCertificateData") or "",
            status.get("clientKeyData") or "",
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        raise _no_credential(run, "it printed no ExecCredential") from None
    if version != run.api_version:
        raise _no_credential(
            run, f"it gave {version}, but {run.api_version} was requested"
        )
    if not (found.token or (found.certificate and found.key)):
        raise _no_credential(run, "its answer has neither a token nor a certificate")
    return found


def _no_credential(run: Exec, said: str) -> KubeconfigError:
    return KubeconfigError(
        f"{run.command}, which the kubeconfig's `exec` runs, gave no credentials: "
        f"{said}",
        "run it in a shell, with the variables of `exec.env`, and check its output",
    )

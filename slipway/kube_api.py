"""Kubernetes' API by plain requests: what draining and the doctor need of it.

Neither `kubectl` nor `aws` has to be installed. A cluster is reached by a kubeconfig,
or, on EKS, with a token that is signed here with the caller's AWS credentials.
"""

from __future__ import annotations

import base64
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Self

import boto3
import httpx
import yaml
from botocore.signers import RequestSigner

TIMEOUT = httpx.Timeout(20, connect=5)
TOKEN_SECONDS = 600
"""Age at which a token is made anew; EKS takes them for 15 minutes.
https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster"""
EXEC_SECONDS = 30
WHO = "Action=GetCallerIdentity&Version=2011-06-15"
Object = dict[str, Any]


class KubeApiError(Exception):
    """The API server did not do what was asked, or does not answer."""


class _Bearer(httpx.Auth):
    """A token that is made anew before it expires."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make, self._token, self._made = make, "", 0.0

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._token or time.monotonic() - self._made > TOKEN_SECONDS:
            self._token, self._made = self._make(), time.monotonic()
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class KubeApi:
    """One cluster; paths are the API's own, such as /api/v1/nodes.

    Used in a `with`, its connections are closed at the end.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @classmethod
    def of_eks(cls, name: str, region: str, endpoint: str, authority: str) -> Self:
        """An EKS cluster by its endpoint and its CA (PEM, base64)."""
        context = ssl.create_default_context(
            cadata=base64.b64decode(authority).decode()
        )
        auth = _Bearer(lambda: eks_token(name, region))
        return cls(
            httpx.Client(base_url=endpoint, verify=context, auth=auth, timeout=TIMEOUT)
        )

    @classmethod
    def of_kubeconfig(cls, text: str, context: str | None = None) -> Self:
        """A cluster by a kubeconfig's content, in a context of it or its current one.

        KubeApiError if the kubeconfig lacks something.
        """
        try:
            return cls(_client(yaml.safe_load(text), context))
        except (KeyError, StopIteration, TypeError) as error:
            raise KubeApiError(f"the kubeconfig has no {error}") from None

    def answers(self) -> str:
        """Empty if the API server answers, else why not."""
        try:
            self._do("GET", "/version")
        except KubeApiError as error:
            return str(error)
        return ""

    def items(self, path: str) -> list[Object]:
        """Objects of a list; empty where the cluster does not know the kind."""
        response = self._do("GET", path)
        return list(response.json().get("items") or ()) if response.is_success else []

    def text(self, path: str) -> str:
        """What a pod or a subresource says; KubeApiError if it is not there."""
        response = self._do("GET", path)
        if not response.is_success:
            raise KubeApiError(f"GET {path}: {response.status_code}")
        return response.text

    def delete(self, path: str) -> None:
        """Asks for an object's deletion; one that is gone is as good."""
        self._do("DELETE", path, {"propagationPolicy": "Background"})

    def patch(self, path: str, change: Object) -> bool:
        """Merges a change into an object; False if it is not there."""
        answer = self._do("PATCH", path, change, "application/merge-patch+json")
        return answer.is_success

    def create(self, path: str, content: Object) -> None:
        """Makes an object in a list; KubeApiError if there is no such list."""
        if not self._do("POST", path, content).is_success:
            raise KubeApiError(f"POST {path}: the cluster has no such place")

    def _do(
        self,
        verb: str,
        path: str,
        body: Object | None = None,
        content: str = "application/json",
    ) -> httpx.Response:
        headers = {"Content-Type": content} if body else {}
        try:
            response = self._client.request(verb, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise KubeApiError(f"the API server does not answer ({error})") from None
        if response.is_error and response.status_code != httpx.codes.NOT_FOUND:
            said = response.text.strip()[:300]
            raise KubeApiError(f"{verb} {path}: {response.status_code} {said}")
        return response


def eks_token(name: str, region: str) -> str:
    """A token for an EKS cluster: a signed request that says who the caller is.

    https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
    """
    session = boto3.Session(region_name=region)
    credentials = session.get_credentials()
    if credentials is None:
        raise KubeApiError("there are no AWS credentials to sign a token with")
    client = session.client("sts")
    signer = RequestSigner(
        client.meta.service_model.service_id,
        region,
        "sts",
        "v4",
        credentials,
        session.events,
    )
    request = {
        "method": "GET",
        "url": f"{client.meta.endpoint_url}/?{WHO}",
        "body": {},
        "headers": {"x-k8s-aws-id": name},
        "context": {},
    }
    url = signer.generate_presigned_url(
        request, region_name=region, expires_in=60, operation_name=""
    )
    coded = base64.urlsafe_b64encode(url.encode()).decode()
    return f"k8s-aws-v1.{coded.rstrip('=')}"


def _client(config: Object, context: str | None) -> httpx.Client:
    chosen = _named(config["contexts"], context or config["current-context"])
    place = _named(config["clusters"], chosen["context"]["cluster"])["cluster"]
    user = _named(config["users"], chosen["context"]["user"])["user"]
    tls = ssl.create_default_context(cadata=_pem(place, "certificate-authority"))
    if "client-certificate" in user or "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile("w") as file:  # readable by the owner alone
            certificate = _pem(user, "client-certificate") or ""
            file.write(certificate + (_pem(user, "client-key") or ""))
            file.flush()
            tls.load_cert_chain(file.name)
    return httpx.Client(
        base_url=place["server"], verify=tls, auth=_auth(user), timeout=TIMEOUT
    )


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)


def _pem(entry: Object, key: str) -> str | None:
    if f"{key}-data" in entry:
        return base64.b64decode(entry[f"{key}-data"]).decode()
    return Path(entry[key]).read_text() if key in entry else None


def _auth(user: Object) -> httpx.Auth | None:
    if "token" in user:
        return _Bearer(lambda: str(user["token"]))
    if "exec" not in user:
        return None
    run = user["exec"]

    def token() -> str:
        done = subprocess.run(
            [run["command"], *(run.get("args") or ())],
            check=False,
            capture_output=True,
            text=True,
            timeout=EXEC_SECONDS,
        )
        if done.returncode:
            said = done.stderr.strip()[:300]
            raise KubeApiError(f"{run['command']} gave no token: {said}")
        return str(yaml.safe_load(done.stdout)["status"]["token"])

    return _Bearer(token)

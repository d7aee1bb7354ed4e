"""Kubernetes' API over plain HTTP, for draining and the doctor.

It needs neither `kubectl` nor `aws`. A cluster is reached by a kubeconfig or, on EKS,
with a token that is signed here with the caller's AWS credentials.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from components.cluster.existing.kubeconfig_files import Kubeconfig, KubeconfigError
from slipway.cluster import connection
from slipway.cluster.connection import TIMEOUT, Bearer

if TYPE_CHECKING:
    import boto3

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches"""
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
"""https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply"""
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
WHO = "Action=GetCallerIdentity&Version=2011-06-15"
Object = dict[str, Any]


class KubeApiError(Exception):
    """The API server rejected the request or does not respond."""


class NoAnswerError(KubeApiError):
    """No response, or a server error: the request may still have taken effect."""


class ForbiddenError(KubeApiError):
    """The caller lacks the permission."""


class ConflictError(KubeApiError):
    """Another client's change came first."""


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
    def of_eks(
        cls,
        name: str,
        region: str,
        endpoint: str,
        authority: str,
        role: str | None = None,
    ) -> Self:
        """An EKS cluster by its endpoint and its CA (PEM, base64).

        `role`: ARN of the IAM role to talk to it as; default: the caller's own.
        """
        context = ssl.create_default_context(
            cadata=base64.b64decode(authority).decode()
        )
        auth = Bearer(lambda: eks_token(name, region, role))
        return cls(
            httpx.Client(base_url=endpoint, verify=context, auth=auth, timeout=TIMEOUT)
        )

    @classmethod
    def of_kubeconfig(cls, text: str, context: str | None = None) -> Self:
        """A cluster by a kubeconfig's content, in a context of it or its current one.

        KubeApiError if it cannot be used; likewise `of_files`.
        """
        return cls._of(lambda: Kubeconfig.of_text(text), context)

    @classmethod
    def of_files(cls, files: Sequence[Path], context: str | None = None) -> Self:
        """A cluster by kubeconfigs, which are merged as kubectl merges them."""
        return cls._of(lambda: Kubeconfig.of_files(files), context)

    @classmethod
    def _of(cls, load: Callable[[], Kubeconfig], context: str | None) -> Self:
        try:
            return cls(connection.client(load().access(context)))
        except KubeconfigError as error:
            raise KubeApiError(str(error)) from None

    def answers(self) -> str:
        """Return an empty text if the API server responds, otherwise the reason."""
        try:
            self._do("GET", "/version")
        except KubeApiError as error:
            return str(error)
        return ""

    def items(self, path: str) -> list[Object]:
        """Return the objects of a list; empty if the cluster does not know the kind."""
        response = self._do("GET", path)
        return list(response.json().get("items") or ()) if response.is_success else []

    def listed(self, path: str) -> list[Object]:
        """Objects of a list, without their content; empty as of `items`."""
        response = self._do("GET", path, accept=METADATA_LIST)
        return list(response.json().get("items") or ()) if response.is_success else []

    def kinds(self, path: str) -> dict[str, tuple[str, bool]]:
        """What a version of a group serves: plural and whether in namespaces, by kind.

        `path` is such as /api/v1; empty where the cluster does not know the group.
        """
        response = self._do("GET", path)
        found = response.json().get("resources") or () if response.is_success else ()
        return {
            one["kind"]: (one["name"], bool(one["namespaced"]))
            for one in found
            if "/" not in one["name"]
        }

    def get(self, path: str) -> Object | None:
        """Return an object; None if it does not exist."""
        response = self._do("GET", path)
        return response.json() if response.is_success else None

    def metadata(self, path: str) -> Object | None:
        """Return an object without its content; None if it does not exist."""
        response = self._do("GET", path, accept=METADATA)
        return response.json() if response.is_success else None

    def text(self, path: str) -> str:
        """Return a pod's or a subresource's text; KubeApiError if it does not exist."""
        response = self._do("GET", path)
        if not response.is_success:
            raise KubeApiError(f"GET {path}: {response.status_code}")
        return response.text

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        silence_seconds: float | None = connection.TIMEOUT.read,
    ) -> Iterator[httpx.Response]:
        """An answer that is not read yet; KubeApiError if it is an error.

        `silence_seconds`: the longest pause in it; None: no limit.
        """
        timeout = httpx.Timeout(TIMEOUT.connect, read=silence_seconds)
        try:
            with self._client.stream(
                "GET", path, headers=headers, timeout=timeout
            ) as response:
                if response.is_error:
                    response.read()
                    raise _refused("GET", path, response)
                yield response
        except httpx.HTTPError as error:
            raise KubeApiError(f"the API server does not answer ({error})") from None
        except KubeconfigError as error:
            raise KubeApiError(str(error)) from None
        except RuntimeError:
            if not self._client.is_closed:
                raise
            # By another thread, such as that of an interrupted command.
            raise KubeApiError("the connections to the API server are closed") from None

    def delete(self, path: str, *, owned_first: bool = False) -> None:
        """Delete an object, if it exists.

        `owned_first`: the object stays until what it owns is gone.
        """
        policy = "Foreground" if owned_first else "Background"
        self._do("DELETE", path, {"propagationPolicy": policy})

    def patch(self, path: str, change: Object, kind: str = MERGE) -> bool:
        """Merges a change into an object; False if it is not there.

        `kind`: MERGE replaces lists whole, STRATEGIC merges those that have names.
        """
        return self._do("PATCH", path, change, kind).is_success

    def replace(self, path: str, content: Object) -> bool:
        """Puts an object in place of the version that it names; False if it is gone.

        Also False if somebody else has put another one there.
        """
        try:
            return self._do("PUT", path, content).is_success
        except ConflictError:
            return False

    def user(self) -> str:
        """Return the user name that the API server sees; empty if it is unknown."""
        kind = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "SelfSubjectReview",
        }
        answer = self._do("POST", WHO_AM_I, kind)
        found = answer.json() if answer.is_success else {}
        info = (found.get("status") or {}).get("userInfo") or {}
        return str(info.get("username", ""))

    def create(self, path: str, content: Object) -> None:
        """Create an object in a list; KubeApiError if there is no such list."""
        if not self._do("POST", path, content).is_success:
            raise KubeApiError(f"POST {path}: the cluster has no such path")

    def _do(
        self,
        verb: str,
        path: str,
        body: Object | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> httpx.Response:
        headers = {"Accept": accept} | ({"Content-Type": content} if body else {})
        try:
            response = self._client.request(verb, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            text = f"the API server does not answer ({error})"
            raise NoAnswerError(text) from None
        except KubeconfigError as error:  # a token that could not be renewed
            raise KubeApiError(str(error)) from None
        if response.is_error and response.status_code != httpx.codes.NOT_FOUND:
            raise _refused(verb, path, response)
        return response


def _refused(verb: str, path: str, response: httpx.Response) -> KubeApiError:
    said = f"{verb} {path}: {response.status_code} {_message(response)}"
    if response.status_code == httpx.codes.FORBIDDEN:
        return ForbiddenError(said)
    if response.status_code == httpx.codes.CONFLICT:
        return ConflictError(said)
    if response.is_server_error:
        return NoAnswerError(said)
    return KubeApiError(said)


def _message(response: httpx.Response) -> str:
    """Return the API server's error message: that of its status, or the whole body."""
    try:
        return str(response.json()["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return response.text.strip()[:300]


def eks_token(name: str, region: str, role: str | None = None) -> str:
    """A token for an EKS cluster: a signed request that identifies the caller.

    With a role, it identifies the role, which the caller assumes.

    https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
    """
    # Not at the top: the import takes a quarter of a second and only EKS needs it.
    import boto3
    from botocore.signers import RequestSigner

    session = _as_role(role, region) if role else boto3.Session(region_name=region)
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


def _as_role(role: str, region: str) -> boto3.Session:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("sts", region_name=region)
    try:
        given = client.assume_role(RoleArn=role, RoleSessionName="slipway")
    except (BotoCoreError, ClientError) as error:
        raise KubeApiError(f"the role {role} cannot be assumed: {error}") from None
    return boto3.Session(
        aws_access_key_id=given["Credentials"]["AccessKeyId"],
        aws_secret_access_key=given["Credentials"]["SecretAccessKey"],
        aws_session_token=given["Credentials"]["SessionToken"],
        region_name=region,
    )

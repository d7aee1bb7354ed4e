"""Where a cluster keeps the objects of each kind, from the API server's discovery."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.cluster.kube_api import KubeApi, KubeApiError


@dataclass(frozen=True)
class _Kind:
    folder: str
    """Such as /apis/apps/v1."""
    plural: str
    is_namespaced: bool


class Kinds:
    """The kinds of a cluster by their names; asked again for a name not known yet.

    https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._known: dict[str, _Kind] = {}

    def path(self, name: str, namespace: str) -> str:
        """Path of a kind's list, of all namespaces if that is empty.

        `name`: plural or singular, with the API group behind a dot or without one.
        KubeApiError for one that the cluster does not have.
        """
        word = name.lower()
        if word not in self._known:
            self._known = self._asked()
        if word not in self._known:
            raise KubeApiError(f"the cluster has no kind {name}")
        kind = self._known[word]
        where = f"/namespaces/{namespace}" if kind.is_namespaced and namespace else ""
        return f"{kind.folder}{where}/{kind.plural}"

    def _asked(self) -> dict[str, _Kind]:
        """The preferred version of each group; of equal names the first group's."""
        groups = (self._api.get("/apis") or {}).get("groups", ())
        folders = [("", "/api/v1")]
        for group in groups:
            version = group["preferredVersion"]["groupVersion"]
            folders.append((group["name"], f"/apis/{version}"))
        found: dict[str, _Kind] = {}
        for group, folder in folders:
            for singular, (plural, namespaced) in self._api.kinds(folder).items():
                kind = _Kind(folder, plural, namespaced)
                for word in (plural, singular.lower()):
                    found.setdefault(word, kind)
                    found.setdefault(f"{word}.{group}", kind)
        return found

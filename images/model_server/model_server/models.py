"""Which model answers: by name, version and revision."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping

from model_server.config import Config
from model_server.endpoint import Endpoint, metrics_of
from model_server.errors import RequestError
from model_server.manifest import Manifest, ModelError
from model_server.metrics import ModelMetrics
from model_server.preparation import Refusal

logger = logging.getLogger("model_server")

SHOWN_CHARACTERS = 128
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?")

VersionKey = tuple[bool, tuple[int, ...], bool, tuple[tuple[bool, int, str], ...], str]


def version_key(version: str) -> VersionKey:
    """Return what sorts versions as semver.org has it; other texts come before all.

    A version of fewer numbers is filled up with zeros, so "1" is 1.0.0.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        return False, (), False, (), version
    numbers = tuple(int(part) for part in match[1].split("."))
    while numbers and not numbers[-1]:
        numbers = numbers[:-1]
    before = tuple(
        (not part.isdigit(), int(part) if part.isdigit() else 0, part)
        for part in (match[2] or "").split(".")
    )
    return True, numbers, match[2] is None, before, version


def newest(manifests: Iterable[Manifest], wanted: str) -> dict[str, Manifest]:
    """Return each model's default version: the wanted if it has that, else the newest.

    Raises `ModelError` if a version is wanted that no model has.
    """
    found: dict[str, Manifest] = {}
    ordered = sorted(manifests, key=lambda it: version_key(it.version))
    for manifest in ordered:
        current = found.get(manifest.name)
        if current is None or current.version != wanted:
            found[manifest.name] = manifest
    if wanted and all(manifest.version != wanted for manifest in ordered):
        known = ", ".join(f"{it.name} {it.version}" for it in ordered)
        problem = (
            f"MODEL_SERVER_DEFAULT_VERSION={wanted!r}: no model has it; try {known}"
        )
        raise ModelError([problem])
    return found


class Models:
    """The endpoints of a server."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[str, Endpoint]] = {}
        self._defaults: dict[str, Endpoint] = {}
        self.refused: dict[str, str] = {}
        """Why a model is not served, by its name."""
        self.refused_metrics: list[ModelMetrics] = []

    def __iter__(self) -> Iterator[Endpoint]:
        """Every version of every model."""
        for versions in self._versions.values():
            yield from versions.values()

    @property
    def defaults(self) -> dict[str, Endpoint]:
        """The version that answers when none is named, by the model's name."""
        return self._defaults

    def add(self, endpoint: Endpoint, *, is_default: bool) -> None:
        """Take an endpoint; raise `ModelError` if its revision is another's too."""
        name = endpoint.manifest.name
        versions = self._versions.setdefault(name, {})
        if endpoint.revision in {it.revision for it in versions.values()}:
            problem = (
                f"{name}: version {endpoint.manifest.version} would report the "
                f"revision {endpoint.revision} of another version; unset "
                "MODEL_SERVER_REVISION or give another"
            )
            raise ModelError([problem])
        versions[endpoint.manifest.version] = endpoint
        if is_default:
            self._defaults[name] = endpoint
        by_revision = {it.revision: it for it in versions.values()}
        for item in versions.values():
            item.by_revision = by_revision
            item.versions = sorted(versions, key=version_key)

    def refuse(
        self,
        refusal: Refusal,
        config: Config,
        defaults: Mapping[str, Manifest],
        runtime: str,
    ) -> None:
        """Keep why a version is not served; of a default one, the model is not."""
        manifest = refusal.manifest
        for problem in refusal.problems:
            logger.error(problem, extra={"model": manifest.name})
        revision = manifest.revision
        if defaults[manifest.name] is manifest:
            self.refused[manifest.name] = "; ".join(refusal.problems)
            revision = config.revision or revision
        self.refused_metrics.append(metrics_of(manifest, config, revision, runtime))

    def by_path(self, default: str) -> dict[str, Endpoint]:
        """Return the endpoint of each path that takes inference requests.

        `default` names the model of the path that names none, if there is one.
        """
        paths: dict[str, Endpoint] = {}
        for name, endpoint in self._defaults.items():
            paths[f"/v2/models/{name}/infer"] = endpoint
        for endpoint in self:
            # A path that names a version leaves a header nothing to choose.
            paths[f"{endpoint.path}/infer"] = endpoint.pinned()
        paths |= self._predict_paths()
        if default in self._defaults:
            paths["/infer"] = self._defaults[default]
        return paths

    @property
    def has_saved_models(self) -> bool:
        return any(endpoint.predict_reader for endpoint in self)

    def _predict_paths(self) -> dict[str, Endpoint]:
        """Return the same for requests of TensorFlow Serving's REST."""
        found = {}
        for name, endpoint in self._defaults.items():
            if endpoint.predict_reader:
                found[f"/v1/models/{name}:predict"] = endpoint.predicting()
        for endpoint in self:
            if endpoint.predict_reader:
                path = endpoint.path.replace("/v2/", "/v1/", 1)
                found[f"{path}:predict"] = endpoint.pinned().predicting()
        return found

    def find(self, name: str, version: str = "", revision: str = "") -> Endpoint:
        """Return the endpoint; raise 404 naming what is known if there is none."""
        if name in self.refused:
            raise RequestError(
                503, "not_ready", f"the model is not served: {self.refused[name]}"
            )
        versions = self._versions.get(name)
        if versions is None:
            raise RequestError(
                404,
                "unknown_model",
                f"no model {_cut(name)} here; there is {', '.join(self._versions)}",
            )
        if not version:
            endpoint = self._defaults[name]
        elif version in versions:
            endpoint = versions[version].pinned()
        else:
            known = ", ".join(sorted(versions, key=version_key))
            raise RequestError(
                404,
                "unknown_version",
                f"{name} has no version {_cut(version)} here; there is {known}",
            )
        return endpoint.of_revision(revision) if revision else endpoint


def _cut(text: str) -> str:
    return repr(text[:SHOWN_CHARACTERS])

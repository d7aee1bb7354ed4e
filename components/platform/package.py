"""Files from publishers' Go modules: charts and CRDs, guarded by go.sum.

Each module is pinned by a group of toolchain/binaries. Files are taken from the built
group where that stands, else the module alone is fetched: by Go, or without it from the
module proxy.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from toolchain import builds, commands, paths, whole_files
from toolchain.locks import locked

TIMEOUT_SECONDS = 600.0


class NoGoError(builds.BuildError):
    """A module is not here yet, there is no Go, and the proxy did not give it."""


_refused: dict[str, str] = {}
"""Why a module could not be had: a proxy is asked once in a process."""

Prepare = Callable[[builds.Group, Path], None]
"""Makes the files of a group ready for use, in the folder that has them."""


def folder(name: str, prepare: Prepare | None = None) -> Path:
    """The folder with a group's files, by the names that groups.toml gives them.

    Fetched and prepared once per machine and version of the module.
    """
    group = builds.group(name)
    target = paths.cache() / "packages" / f"{name}-{group.version()}"
    if not target.is_dir():
        with locked(target.parent / "lock"):
            if not target.is_dir():
                _make(group, target, prepare)
    return target


def version(name: str) -> str:
    """The version of a group's module, such as `v1.9.1`."""
    return builds.group(name).version()


def _make(group: builds.Group, target: Path, prepare: Prepare | None) -> None:
    with whole_files.made(target) as part:
        if shutil.which("go") is None:
            _fetch_without_go(group, part)
        elif group.is_built:
            shutil.copytree(group.folder / "files", part)
        else:
            _fetch(group, part)
        for path in [part, *part.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        if prepare:
            prepare(group, part)


def _fetch(group: builds.Group, part: Path) -> None:
    """Fetches the group's module alone, checked by the group's go.sum."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {"GOMODCACHE": cache, "GOFLAGS": "-mod=readonly -modcacherw"}
        shown = commands.run(
            ["go", "mod", "download", "-json", group.module],
            cwd=group.source,
            environment=environment,
            timeout_seconds=TIMEOUT_SECONDS,
        )
        _copy(group, Path(json.loads(shown)["Dir"]), part)


def _fetch_without_go(group: builds.Group, part: Path) -> None:
    from toolchain import modules  # an HTTP client, which a rendering has no use for

    if reason := _refused.get(group.name):
        raise NoGoError(reason)
    with tempfile.TemporaryDirectory() as cache:
        try:
            module = modules.fetch(
                group.module, group.version(), group.source / "go.sum", Path(cache)
            )
        except modules.ModuleError as error:
            _refused[group.name] = (
                f"{group.module} {group.version()} is not in the cache, go is not on "
                f"PATH, and no module proxy gave it ({error}); install Go, or set "
                "GOPROXY to the URL of a module proxy"
            )
            raise NoGoError(_refused[group.name]) from error
        _copy(group, module, part)


def _copy(group: builds.Group, module: Path, part: Path) -> None:
    for name, source in group.files.items():
        shutil.copytree(module / source, part / name)

"""Selects the builder: the named one, or the first that works here."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.images.builders.buildah import Buildah
from slipway.images.builders.builder import About, Builder, BuilderError, Say
from slipway.images.builders.docker import Docker
from slipway.images.builders.podman import Podman
from toolchain import downloads

AUTO = "auto"
BUILDAH = Buildah()
"""The lab's builder: it needs neither a daemon nor the right to run containers."""
BUILDERS: Mapping[str, Builder] = {
    builder.name: builder for builder in (Docker(), Podman(), BUILDAH)
}
"""In the order in which `auto` tries them."""
HOW_TO_GET = {
    "docker": "https://docs.docker.com/get-started/get-docker/",
    "podman": "https://podman.io/docs/installation",
    "buildah": "`apt-get install buildah` or `dnf install buildah` (Linux only)",
}


def choose(wanted: str, say: Say) -> Builder:
    """The wanted builder, or with `auto` the first that works; `say` gets its name.

    Raises BuilderError with what is wrong with each, and how to get it.
    """
    wrong: dict[str, str] = {}
    for name in BUILDERS if wanted == AUTO else [wanted]:
        try:
            found = _working(BUILDERS[name])
        except BuilderError as error:
            wrong[name] = _reason(name, error)
            continue
        why = f" ({'; '.join(wrong.values())})" if wrong else ""
        say(f"building with {name} {found.version}{why}")
        return BUILDERS[name]
    lines = [
        f"  {text}\n    get it: {HOW_TO_GET[name]}" for name, text in wrong.items()
    ]
    head = f"none of {', '.join(wrong)} works here, and one is needed to build images:"
    if wanted != AUTO:
        head = f"{wanted} does not work here; --builder auto tries others too:"
    raise BuilderError("\n".join([head, *lines]))


def _working(builder: Builder) -> About:
    found = builder.about()
    here = downloads.architecture()
    if found.architecture != here:
        # This machine puts programs, wheels and models into the images.
        raise BuilderError(
            f"{builder.name} builds images for {found.architecture}, but this machine "
            f"is {here}: run Slipway on a machine of the builder's architecture"
        )
    return found


def _reason(name: str, error: BuilderError) -> str:
    """The last line of an error, which has the reason, with the builder's name."""
    last = str(error).strip().splitlines()[-1]
    return last if last.startswith(name) else f"{name}: {last}"

"""Checks in the ledger whether the revisions of a stack may be served.

`slipway up` and `slipway preview` run the check before the first resource. The ledger's
data about a revision count if the chain is intact and signed by a trusted key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from components import images
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.models_settings import ModelsSettings
from components.serving.settings.ledger_settings import LedgerSettings
from components.settings import Problem, SettingsError
from slipway.ledger import chain, keys
from slipway.ledger.lifecycle import REGISTERED, RETIRED, History, Revision
from slipway.ledger.options import default_ledger
from slipway.ledger.store import FolderStore, Store
from stacks import config, files, layers
from toolchain.errors import OperatorError, WrongInputError

NOT_YET = (REGISTERED, RETIRED)
"""States in which a revision is not served; the first can still be staged."""


@dataclass(frozen=True)
class Served:
    """One revision that a stack serves."""

    path: str
    """Path of its setting."""
    model: str
    """Name in model.yaml, and thus in the ledger."""
    revision: str
    """Name in the settings; empty if the server has no named revisions."""
    image: str
    """Reference with its digest; empty where the model is not an image."""

    @property
    def digest(self) -> str:
        return self.image.rpartition("@")[2]


def before(stack: str, checkout: Path | None) -> None:
    """SettingsError names all revisions that may not be served; else nothing."""
    if layers.of(stack).settings is not ModelsSettings:
        return
    root = checkout or files.ROOT
    chosen = config.of_stack(stack, ModelsSettings, root)
    if chosen.ledger is None:
        return
    with images.using(_image_lock(chosen, root)):
        served = list(_served(chosen))
    place, trusted = store(chosen.ledger, root), _trusted(chosen.ledger, root)
    histories: dict[str, History] = {}
    for model in sorted({it.model for it in served}):
        found = chain.read(place, model, trusted=trusted)
        if found.broken:
            raise OperatorError(
                f"{found.broken}; nothing was changed: see `slipway ledger verify`"
            )
        histories[model] = found.history
    required = chosen.ledger.require_staged
    is_required = chosen.production if required is None else required
    if wrong := list(problems(served, histories, is_required=is_required)):
        raise SettingsError(files.name(stack), wrong)


def _image_lock(chosen: ModelsSettings, root: Path) -> images.Lock:
    """Return the stack's image lock, as stacks/image_lock.py does for its program."""
    file = root / chosen.images_lock if chosen.images_lock else None
    return images.Lock(file, must_be_named=chosen.production)


def problems(
    served: list[Served], histories: Mapping[str, History], *, is_required: bool
) -> Iterator[Problem]:
    """Report served revisions that the ledger lacks, or has with other data."""
    for one in served:
        history = histories[one.model]
        found = _find(history, one)
        if found is None:
            if is_required:
                yield _unknown(one, history)
        elif text := _differs(found, one):
            yield Problem(
                one.path,
                one.image or one.revision,
                text,
                "serve the image that was registered, or give the new one a new "
                "name: slipway ledger register "
                f"{one.model} --revision NEW --image {one.image or 'IMAGE'}",
            )
        elif is_required and found.state in NOT_YET:
            yield _not_staged(one, found)


def _find(history: History, one: Served) -> Revision | None:
    """By name; of a server without named revisions by the digest of its image.

    An image may be registered under several names: one that may be served goes first.
    """
    if one.revision:
        return history.revisions.get(one.revision)
    known = [it for it in history.revisions.values() if _digest(it) == one.digest]
    known.sort(key=lambda it: (it.state in NOT_YET, it.state == RETIRED))
    return known[0] if one.digest and known else None


def _differs(found: Revision, one: Served) -> str:
    registered = _digest(found)
    if registered == one.digest:
        return ""
    return (
        f"{one.model} {found.name} is registered with "
        f"{registered or 'files and no image'}, and a name is bound to its content"
    )


def _digest(revision: Revision) -> str:
    return str(revision.subject.get("image", "")).rpartition("@")[2]


def _unknown(one: Served, history: History) -> Problem:
    known = ", ".join(history.revisions) or "none"
    name = one.revision or "REVISION"
    what = name if one.revision else "revision with this image"
    if not one.image:
        return Problem(
            one.path,
            one.model,
            "the ledger identifies models by their image, and this one has none",
            "name it in ledger.exempt",
        )
    return Problem(
        one.path,
        one.image,
        f"the ledger has no {what} of {one.model} (it has: {known})",
        f"slipway ledger register {one.model} --revision {name} --image {one.image}, "
        f"then slipway ledger stage {one.model} {name} --why ...",
    )


def _not_staged(one: Served, found: Revision) -> Problem:
    fix = f"slipway ledger stage {one.model} {found.name} --why ..."
    if found.state == RETIRED:
        fix = "serve another revision; a retired one does not come back"
    return Problem(
        one.path,
        one.image,
        f"{one.model} {found.name} is {found.state} and not staged in the ledger",
        fix,
    )


def _served(chosen: ModelsSettings) -> Iterator[Served]:
    exempt = chosen.ledger.exempt if chosen.ledger else ()
    for name, args in chosen.models.items():
        if name not in exempt:
            yield from _of_server(name, args)


def _of_server(name: str, args: ModelServerArgs) -> Iterator[Served]:
    model = args.served(name)
    for revision, own in args.revisions.items():
        path = f"models.{name}.revisions.{revision}"
        yield Served(path, model, revision, images.resolve(own.model_image))
    if not args.revisions:
        image = images.resolve(args.model_image) if args.model_image else ""
        yield Served(f"models.{name}.model_image", model, "", image)


def store(settings: LedgerSettings | None, root: Path | None = None) -> Store:
    """Return a stack's ledger; without one, the user's own."""
    if settings is None:
        return FolderStore(default_ledger())
    root = root or files.ROOT
    if not settings.place.startswith("s3://"):
        return FolderStore(root / settings.place)
    from slipway.ledger import bucket  # boto3 takes its time

    return bucket.opened(settings.place)


def _trusted(settings: LedgerSettings, root: Path) -> Mapping[str, Ed25519PublicKey]:
    try:
        return keys.load_trusted(root / it for it in settings.trusted_keys)
    except WrongInputError as error:
        raise OperatorError(f"ledger.trusted_keys: {error}") from None

"""Makes a release: packages, collection, bill of materials, checksums, signature.

    python -m devtools.release [--key FILE | --unsigned] [--out DIR] [--working-tree]

The same commit and environment give the same bytes. docs/how-to/release.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from devtools.release import collection, materials, packages, signing, sources
from slipway.ledger import keys
from toolchain import paths
from toolchain.errors import OperatorError, WrongInputError


def make(checkout: Path, out: Path, key: Path | None, epoch: int) -> list[Path]:
    """Makes all files of a release in `out`, whose earlier release is deleted.

    checkout: what `sources.copy` has written; epoch: the date of files in archives.
    Raises WrongInputError if `out` holds anything else than a release.
    """
    _refuse_others_files(out)
    signer = keys.load_private(key) if key else None
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    project = checkout / "pyproject.toml"
    version = tomllib.loads(project.read_text())["project"]["version"]
    packages.build(checkout, out, epoch)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "collection")
        collection.arrange(checkout / "playbooks", version, folder)
        collection.build(folder, version, out, epoch)
    materials.write(project, version, out)
    (out / ".gitignore").unlink(missing_ok=True)
    signing.sign(out, signer)
    return sorted(out.iterdir())


def _refuse_others_files(out: Path) -> None:
    is_release = (out / signing.SUMS).is_file()
    if out.is_dir() and any(out.iterdir()) and not is_release:
        raise WrongInputError(
            f"{out} has files and no {signing.SUMS}: it is not an earlier release, and "
            "nothing was deleted; name an empty folder with --out, or empty this one"
        )


def of_checkout(out: Path, key: Path | None, *, working_tree: bool) -> list[Path]:
    """Makes a release of this checkout's last commit, or of its files as they are."""
    if not working_tree:
        sources.refuse_changes(paths.ROOT)
    epoch = sources.epoch(paths.ROOT)
    with tempfile.TemporaryDirectory() as work:
        sources.copy(paths.ROOT, Path(work))
        return make(Path(work), out, key, epoch)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m devtools.release")
    parser.add_argument("--out", type=Path, default=paths.ROOT / "dist")
    parser.add_argument("--key", type=Path, default=keys.default_key())
    parser.add_argument("--unsigned", action="store_true", help="write no signature")
    parser.add_argument(
        "--working-tree", action="store_true", help="take changes that no commit has"
    )
    given = parser.parse_args(arguments)
    start = time.monotonic()
    try:
        key = None if given.unsigned else given.key
        made = of_checkout(given.out, key, working_tree=given.working_tree)
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    for file in made:
        print(f"{file.stat().st_size:>10,} {file.name}")
    print(f"{given.out}: {len(made)} files in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

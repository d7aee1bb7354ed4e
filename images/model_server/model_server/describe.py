"""`python -m model_server.describe FOLDER`: a model.yaml for a SavedModel, printed.

It has the tensors of one signature and the digests of all files. Names of features,
what is logged and the free dimensions' bounds are left to whoever knows the model.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from model_server.declared import Found
from model_server.formats import DEFAULT_SIGNATURE, FORMATS, SAVED_MODEL
from model_server.manifest import ModelError
from model_server.model_files import digest_of, saved_model_files
from model_server.saved_model import import_tensorflow, open_signature, tensors_of
from model_server.tensor import FREE


def describe(
    folder: Path, *, name: str, version: str, signature: str
) -> dict[str, Any]:
    """Return the content of a model.yaml; raise `ModelError` where there is none."""
    tensorflow = import_tensorflow(folder)
    loaded, function = open_signature(tensorflow, folder, signature)
    inputs, outputs = tensors_of(function)
    del loaded
    names = [FORMATS[SAVED_MODEL].file, *sorted(saved_model_files(folder))]
    digests = {it: digest_of(folder / it) for it in names}
    return {
        "name": name,
        "version": version,
        "revision": _revision(digests, signature),
        "format": SAVED_MODEL,
        "signature": signature,
        "inputs": _entries(folder, inputs),
        "outputs": _entries(folder, outputs),
        "digests": digests,
    }


def _revision(digests: Mapping[str, str], signature: str) -> str:
    text = "\n".join([signature, *(f"{it} {digests[it]}" for it in digests)])
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _entries(folder: Path, found: Sequence[Found]) -> list[dict[str, Any]]:
    problems = [
        f"{folder}: {tensor.name} is {tensor.shown}, of {_shown(tensor)}: a tensor "
        "must have a datatype of the Open Inference Protocol, and any number of rows "
        "first; export the signature so"
        for tensor in found
        if not tensor.datatype or not tensor.shape or tensor.shape[0] is not None
    ]
    if problems:
        raise ModelError(problems)
    return [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": [FREE if size is None else size for size in tensor.shape or ()],
        }
        for tensor in found
    ]


def _shown(tensor: Found) -> str:
    return "any shape" if tensor.shape is None else f"the shape {list(tensor.shape)}"


def main() -> int:
    """Print the model.yaml and return 0; or the problems, and return 1."""
    parser = argparse.ArgumentParser(prog="model_server.describe", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--version", default="1", help="its version; default: 1")
    parser.add_argument(
        "--signature",
        default=DEFAULT_SIGNATURE,
        help=f"the signature to serve; default: {DEFAULT_SIGNATURE}",
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    try:
        found = describe(
            options.folder,
            name=options.name,
            version=options.version,
            signature=options.signature,
        )
    except ModelError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 1
    print(yaml.safe_dump(found, sort_keys=False), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

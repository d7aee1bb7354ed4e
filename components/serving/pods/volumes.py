"""Mounts of a model server's pod: the model, generated files, writable folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from components.security import pod_defaults
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.pods import log_shipper
from components.serving.runtimes.base import SCRATCH_FOLDER, SHARED_MEMORY_FOLDER
from components.serving.runtimes.ours import PREDICTION_LOG_FOLDER
from components.serving.settings import secret_files

Manifest = dict[str, Any]
Pairs = list[tuple[Manifest, Manifest]]


def of(
    model: str, args: ModelServerArgs, files: str, secrets: Mapping[str, str]
) -> tuple[list[Manifest], list[Manifest]]:
    """Volumes and mounts; `files` is the ConfigMap's name, if the runtime has files.

    `secrets`: the Secrets in the cluster by their names in the settings.
    """
    runtime = args.runtime
    pairs: Pairs = []
    if args.model_image:
        source = {"reference": args.model_image, "pullPolicy": "IfNotPresent"}
        folder = runtime.model_folder(model)
        mount = {"name": "model", "mountPath": folder, "readOnly": True}
        pairs.append(({"name": "model", "image": source}, mount))
    scratch = {"tmp": (SCRATCH_FOLDER, runtime.FACTS.scratch_mib)}
    log = args.prediction_log
    if runtime.FACTS.logs_predictions and log.enabled:
        scratch[log_shipper.VOLUME] = (PREDICTION_LOG_FOLDER, log.folder_mib)
    pairs += [
        (_scratch(name, mib), {"name": name, "mountPath": path})
        for name, (path, mib) in scratch.items()
    ]
    if mib := runtime.shared_memory_mib:
        mount = {"name": "shm", "mountPath": SHARED_MEMORY_FOLDER}
        pairs.append((_scratch("shm", mib, medium="Memory"), mount))
    pairs += secret_files.of(args.secrets, secrets)
    volumes, mounts = [volume for volume, _ in pairs], [mount for _, mount in pairs]
    if paths := runtime.files(model):
        volumes.append({"name": "files", "configMap": {"name": files}})
        mounts += [
            {
                "name": "files",
                "mountPath": path,
                "subPath": key(path),
                "readOnly": True,
            }
            for path in paths
        ]
    return volumes, mounts


def files_name(server: str, files: Mapping[str, str]) -> str:
    """Return the name of the ConfigMap of these files, based on their content.

    A pod of an older revision that restarts thus finds its own files.
    """
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return f"{server}-{digest[:8]}"


def key(path: str) -> str:
    """Return the key of a file in the ConfigMap."""
    return path.rpartition("/")[2]


def _scratch(name: str, mib: int, **more: str) -> Manifest:
    size = pod_defaults.memory_quantity(mib)
    return {"name": name, "emptyDir": {"sizeLimit": size, **more}}

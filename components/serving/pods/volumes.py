"""Mounts of a model server's pod: the model, generated files, writable folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pulumi_kubernetes.core import v1 as core

from components.security import pod_defaults
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.pods import log_shipper
from components.serving.runtimes.base import SCRATCH_FOLDER, SHARED_MEMORY_FOLDER
from components.serving.runtimes.ours import PREDICTION_LOG_FOLDER
from components.serving.settings import secret_files

Pairs = list[tuple[core.VolumeArgs, core.VolumeMountArgs]]


def of(
    model: str, args: ModelServerArgs, files: str, secrets: Mapping[str, str]
) -> tuple[list[core.VolumeArgs], list[core.VolumeMountArgs]]:
    """Volumes and mounts; `files` is the ConfigMap's name, if the runtime has files.

    `secrets`: the Secrets in the cluster by their names in the settings.
    """
    runtime = args.runtime
    pairs: Pairs = []
    if args.model_image:
        source = core.ImageVolumeSourceArgs(
            reference=args.model_image, pull_policy="IfNotPresent"
        )
        folder = runtime.model_folder(model)
        mount = core.VolumeMountArgs(name="model", mount_path=folder, read_only=True)
        pairs.append((core.VolumeArgs(name="model", image=source), mount))
    scratch = {"tmp": (SCRATCH_FOLDER, runtime.FACTS.scratch_mib)}
    log = args.prediction_log
    if runtime.FACTS.logs_predictions and log.enabled:
        scratch[log_shipper.VOLUME] = (PREDICTION_LOG_FOLDER, log.folder_mib)
    pairs += [
        (_scratch(name, mib), core.VolumeMountArgs(name=name, mount_path=path))
        for name, (path, mib) in scratch.items()
    ]
    if mib := runtime.shared_memory_mib:
        mount = core.VolumeMountArgs(name="shm", mount_path=SHARED_MEMORY_FOLDER)
        pairs.append((_scratch("shm", mib, medium="Memory"), mount))
    pairs += secret_files.of(args.secrets, secrets)
    volumes, mounts = [volume for volume, _ in pairs], [mount for _, mount in pairs]
    if paths := runtime.files(model):
        config = core.ConfigMapVolumeSourceArgs(name=files)
        volumes.append(core.VolumeArgs(name="files", config_map=config))
        mounts += [
            core.VolumeMountArgs(
                name="files", mount_path=path, sub_path=key(path), read_only=True
            )
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


def _scratch(name: str, mib: int, medium: str | None = None) -> core.VolumeArgs:
    size = pod_defaults.memory_quantity(mib)
    return core.VolumeArgs(
        name=name,
        empty_dir=core.EmptyDirVolumeSourceArgs(size_limit=size, medium=medium),
    )

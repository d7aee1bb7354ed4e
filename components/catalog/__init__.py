"""The accelerator catalogue: instance types, GPUs, prices, versions, with their source.

    catalog.instance_type("p5.48xlarge").gpu.memory  # 81920 MiB of each of 8 H100

Facts are data (`data/`, each file with source, date and licence) and are read once.
Nothing is looked up in an account: `slipway catalog refresh` does that, and writes the
same files.
"""

from components.catalog.model import (
    Accelerator,
    CountQuota,
    EksVersion,
    Gpu,
    InstanceType,
    KnownBad,
    LocalNvme,
    MigProfile,
    Neuron,
    Price,
    VcpuQuota,
)
from components.catalog.reading import (
    DATA,
    UnknownInstanceTypeError,
    accelerator,
    accelerators,
    count_quota,
    instance_type,
    instance_types,
    known_bad,
    kubernetes_version,
    kubernetes_versions,
    left_out,
    offered,
    price,
    priced_regions,
    regions,
    sources,
    vcpu_quota,
    zones,
)

__all__ = [
    "DATA",
    "Accelerator",
    "CountQuota",
    "EksVersion",
    "Gpu",
    "InstanceType",
    "KnownBad",
    "LocalNvme",
    "MigProfile",
    "Neuron",
    "Price",
    "UnknownInstanceTypeError",
    "VcpuQuota",
    "accelerator",
    "accelerators",
    "count_quota",
    "instance_type",
    "instance_types",
    "known_bad",
    "kubernetes_version",
    "kubernetes_versions",
    "left_out",
    "offered",
    "price",
    "priced_regions",
    "regions",
    "sources",
    "vcpu_quota",
    "zones",
]

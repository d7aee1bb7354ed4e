"""What the models of a stack rest on in the files of other stacks of their cluster."""

from __future__ import annotations

from components.cluster.settings import ClusterSettings
from components.delivery.borrow_settings import LAYER
from components.delivery.pool_job import PoolJob
from components.serving.args import borrowing, cluster_checks
from components.serving.models_settings import ModelsSettings
from components.settings import SettingsError
from components.training import pool_jobs
from stacks import config, files

Evictable = dict[str, tuple[PoolJob, ...]]
"""By model, the jobs that its rollout may evict."""


def check(chosen: ModelsSettings, stack: str) -> Evictable:
    """Compares the models with the pools, the roles and the jobs of their cluster.

    `stack`: the running one. SettingsError for what is not there as the models count
    on it.
    """
    other = chosen.cluster.stack
    if other is None or not cluster_checks.asked(chosen.models):
        return {}
    cluster = config.of_other_stack(other, ClusterSettings, stack)
    jobs = _jobs(other) if borrowing.asked(chosen.models) else {}
    namespace = chosen.platform.namespace
    if problems := [
        *cluster_checks.problems(chosen.models, namespace, cluster),
        *borrowing.problems(chosen.models, cluster.pools, jobs),
    ]:
        raise SettingsError(files.name(stack), problems)
    return borrowing.evictable(chosen.models, jobs)


def _jobs(cluster: str) -> dict[str, tuple[PoolJob, ...]]:
    """The jobs of all stacks that name this cluster, by stack."""
    found = {}
    for name in files.known():
        if name.startswith(LAYER):
            said = config.unchecked(name)
            access = said.get("cluster")
            if isinstance(access, dict) and access.get("stack") == cluster:
                found[name] = pool_jobs.of(name, said.get("training"), files.name(name))
    return found

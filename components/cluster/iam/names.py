"""Physical names of AWS resources: the same at every run, never too long."""

from __future__ import annotations

import hashlib

LONGEST_ROLE_NAME = 64
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
_DIGEST = 8


def node_role(cluster: str) -> str:
    """The role of all nodes: node groups and Karpenter's node classes name it."""
    return f"{cluster}-node"


def node_profile(cluster: str) -> str:
    """The instance profile with that role, for the nodes that Karpenter starts."""
    return f"{cluster}-node"


def cluster_role(cluster: str) -> str:
    """The role of the control plane."""
    return f"{cluster}-cluster"


def flow_log_role(cluster: str) -> str:
    """The role that writes the network's flow logs."""
    return f"{cluster}-flow-logs"


def pod_role(cluster: str, namespace: str, service_account: str) -> str:
    """The role of one service account."""
    return _short(f"{cluster}-{namespace}-{service_account}", LONGEST_ROLE_NAME)


def emr_role(application: str, job: str) -> str:
    """The role of one job of EMR Serverless."""
    return _short(f"{application}-emr-{job}", LONGEST_ROLE_NAME)


def interruption_queue(cluster: str) -> str:
    """The queue with EC2's interruption events, which Karpenter listens to."""
    return cluster


def cluster_key_alias(cluster: str, purpose: str) -> str:
    """Alias of the key of the control plane's `secrets` or `logs`."""
    return f"alias/{cluster}-{purpose}"


def _short(name: str, longest: int) -> str:
    """The name, or its beginning and a digest of all of it: others stay apart."""
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: longest - _DIGEST - 1]}-{digest}"

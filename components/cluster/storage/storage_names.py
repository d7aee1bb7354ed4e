"""Names of storage resources: known without a look-up, so that policies can use them.

Bucket names are globally unique, so they contain account and region:
`<cluster>-<purpose>-<account>-<region>`.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.cluster.iam.arns import Arns
from components.settings import Problem

LONGEST_BUCKET = 63
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
MODELS = "models"
PREDICTIONS = "predictions"
ACCESS_LOG = "access"
FLOW_LOGS = "flows"
BUCKETS = (MODELS, PREDICTIONS, ACCESS_LOG, FLOW_LOGS)
"""Purposes of a cluster's buckets."""


def bucket(cluster: str, purpose: str, arns: Arns) -> str:
    """Name of the cluster's bucket for one of BUCKETS."""
    return f"{cluster}-{purpose}-{arns.account}-{arns.region}"


def data_key_alias(cluster: str) -> str:
    """Alias of the key of models and prediction logs."""
    return f"alias/{cluster}-data"


def image_key_alias(cluster: str) -> str:
    """Alias of the key of image repositories."""
    return f"alias/{cluster}-images"


def flow_log_key_alias(cluster: str) -> str:
    """Alias of the key of the network's flow logs."""
    return f"alias/{cluster}-flow-logs"


def flow_log_group(cluster: str) -> str:
    """CloudWatch log group of the network's flow logs."""
    return f"/slipway/{cluster}/flow-logs"


def container_log_key_alias(cluster: str) -> str:
    """Alias of the key of containers' logs."""
    return f"alias/{cluster}-container-logs"


def container_log_group(cluster: str, kind: str) -> str:
    """CloudWatch log group of containers' logs, by AWS's own scheme of names."""
    return f"/aws/containerinsights/{cluster}/{kind}"


def emr_log_bucket(application: str, arns: Arns) -> str:
    """Name of the bucket with the logs of an application of EMR Serverless."""
    return bucket(application, "emr-logs", arns)


def emr_log_key_alias(application: str) -> str:
    """Alias of that bucket's key."""
    return f"alias/{application}-emr-logs"


def problems(cluster: str, arns: Arns, path: str = "cluster.name") -> Iterator[Problem]:
    """Report a cluster name that makes a bucket's name too long, at `path`."""
    longest = max(len(bucket("", purpose, arns)) for purpose in BUCKETS)
    if longest + len(cluster) > LONGEST_BUCKET:
        yield Problem(
            path=path,
            value=cluster,
            reason=f"with purpose, account and region its bucket names would be longer "
            f"than {LONGEST_BUCKET} characters",
            fix=f"give at most {LONGEST_BUCKET - longest} characters",
        )

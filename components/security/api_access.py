"""The API token of the few pods that ask the API server, mounted on purpose.

Automatic mounting stays off everywhere: a pod that needs a token names this volume, so
that a reader of the manifest, and every scanner, sees which pods do.
https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
"""

from __future__ import annotations

from typing import Any

VOLUME = "api-access"
PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607
"""Lifetime of the API server's own automatic volume; the kubelet renews it."""


def volume() -> dict[str, Any]:
    """The volume as a manifest has it: token, the cluster's CA, the namespace."""
    return {
        "name": VOLUME,
        "projected": {
            "sources": [
                {
                    "serviceAccountToken": {
                        "path": "token",
                        "expirationSeconds": TOKEN_SECONDS,
                    }
                },
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {
                    "downwardAPI": {
                        "items": [
                            {
                                "path": "namespace",
                                "fieldRef": {
                                    "apiVersion": "v1",
                                    "fieldPath": "metadata.namespace",
                                },
                            }
                        ]
                    }
                },
            ]
        },
    }


def mount() -> dict[str, Any]:
    """Mount the token where client libraries look for it."""
    return {"name": VOLUME, "mountPath": PATH, "readOnly": True}

"""Restricts the waker's changes of EndpointSlices further than RBAC can.

Its role lets it create, change and delete slices of its namespace: their names are not
known in advance, because each waker pod has its own. A compromised waker could
otherwise route a model's requests anywhere through another controller's slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.security.network import NAMESPACE_LABEL

NAME = "waker-slices"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_OWN = (
    f"{{object}}.metadata.?labels[?'{_MANAGED_BY}'].orValue('') == "
    f"'{naming.WAKER_MANAGER}'"
)
_BEFORE, _AFTER = _OWN.format(object="oldObject"), _OWN.format(object="object")
_PODS = (
    "object.?endpoints.orValue([]).all(it, it.?targetRef.?kind.orValue('') == 'Pod' "
    f"&& it.?targetRef.?name.orValue('').startsWith('{naming.WAKER}-'))"
)


def add(namespaces: Sequence[str], opts: pulumi.ResourceOptions) -> None:
    """The policy, and its binding to these namespaces."""
    v1 = kubernetes.admissionregistration.v1
    metadata = {"name": NAME, "labels": naming.labels(NAME, component="models")}
    policy = v1.ValidatingAdmissionPolicy(
        f"{NAME}-policy", metadata=metadata, spec=spec(), opts=opts
    )
    v1.ValidatingAdmissionPolicyBinding(
        f"{NAME}-binding",
        metadata=metadata,
        spec={
            "policyName": NAME,
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {
                    "matchExpressions": [
                        {
                            "key": NAMESPACE_LABEL,
                            "operator": "In",
                            "values": sorted(namespaces),
                        }
                    ]
                }
            },
        },
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(depends_on=[policy])
        ),
    )


def spec() -> dict[str, Any]:
    """For the service account of the waker alone, in whichever namespace it is."""
    account = f"'system:serviceaccount:' + request.namespace + ':{naming.WAKER}'"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "apiVersions": ["v1"],
                    "resources": ["endpointslices"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                }
            ]
        },
        "matchConditions": [
            {"name": "waker", "expression": f"request.userInfo.username == {account}"}
        ],
        "validations": [
            {
                "expression": f"request.operation == 'CREATE' || {_BEFORE}",
                "message": "the waker changes and deletes slices of its own only",
            },
            {
                "expression": f"request.operation == 'DELETE' || {_AFTER}",
                "message": f"the waker's slices have the label {_MANAGED_BY}: "
                f"{naming.WAKER_MANAGER}",
            },
            {
                "expression": f"request.operation == 'DELETE' || {_PODS}",
                "message": "the waker's slices lead to pods of the waker only",
            },
        ],
    }

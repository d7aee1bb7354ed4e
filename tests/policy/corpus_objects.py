"""For each rule about networks, rights and nodes a good and a bad object."""

from __future__ import annotations

from typing import Any

from tests.policy.corpus import (
    NAME,
    SELECTOR,
    Case,
    Object,
    changed,
    of,
    workload,
)
from tests.policy.corpus_pods import WORKLOADS

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
SPACE = changed(
    of("Namespace", "v1", namespaced=False),
    {"metadata": {"name": "example-of-rules", "labels": RESTRICTED}},
)
CLOSED = of(
    "NetworkPolicy",
    "networking.k8s.io/v1",
    spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
)
OUT = {
    "egress": [
        {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]}
    ]
}
OPEN = {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}
METADATA = "169.254.169.254/32"


def out_to(*cidrs: str, **block: Any) -> Object:
    """A policy that lets pods reach these networks, on all ports."""
    to = [{"ipBlock": {"cidr": cidr, **block}} for cidr in cidrs]
    found: Object = changed(CLOSED, {"spec": {"egress": [{"to": to}]}})
    return found


SERVICE = of("Service", "v1", spec={"selector": SELECTOR, "ports": [{"port": 80}]})
BACKEND = {
    "backendRefs": [{"name": NAME, "port": 80}],
    "matches": [{"path": {"type": "PathPrefix", "value": f"/{NAME}/v1"}}],
    "timeouts": {"request": "10s"},
}
ROUTE = of("HTTPRoute", "gateway.networking.k8s.io/v1", spec={"rules": [BACKEND]})
GATEWAY = of(
    "Gateway",
    "gateway.networking.k8s.io/v1",
    spec={
        "gatewayClassName": NAME,
        "listeners": [
            {
                "name": "http",
                "port": 80,
                "protocol": "HTTP",
                "allowedRoutes": {"namespaces": {"from": "Same"}},
            }
        ],
    },
)
INTERNAL = {"service.beta.kubernetes.io/aws-load-balancer-internal": "true"}
PROXY = of(
    "EnvoyProxy",
    "gateway.envoyproxy.io/v1alpha1",
    spec={
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {
                "envoyService": {"type": "LoadBalancer", "annotations": INTERNAL}
            },
        }
    },
)
PUBLIC = changed(
    PROXY,
    {"spec": {"provider": {"kubernetes": {"envoyService": {"annotations": None}}}}},
)
HTTPS = changed(GATEWAY, {"spec": {"listeners": [{"protocol": "HTTPS"}]}})


def route(**change: Any) -> Object:
    """A route whose only rule is changed."""
    return changed(ROUTE, {"spec": {"rules": [changed(BACKEND, change)]}})


NETWORK = [
    Case(
        "namespaces-deny-by-default",
        SPACE,
        SPACE,
        good_related={"NetworkPolicy": [CLOSED]},
        bad_related={"NetworkPolicy": [changed(CLOSED, {"spec": OUT})]},
    ),
    Case(
        "namespaces-are-restricted",
        SPACE,
        changed(
            SPACE,
            {"metadata": {"labels": dict.fromkeys(RESTRICTED, "baseline")}},
        ),
    ),
    Case(
        "servers-have-network-policies",
        workload(),
        workload(),
        good_related={"NetworkPolicy": [CLOSED]},
    ),
    Case(
        "no-way-to-metadata",
        changed(CLOSED, {"spec": OUT}),
        changed(CLOSED, {"spec": OPEN}),
    ),
    Case(
        "no-way-to-metadata",
        changed(
            CLOSED,
            {"spec": {"egress": [{**OPEN["egress"][0], "ports": [{"port": 443}]}]}},
        ),
        changed(
            CLOSED,
            {
                "spec": {
                    "egress": [
                        {**OPEN["egress"][0], "ports": [{"port": 1, "endPort": 99}]}
                    ]
                }
            },
        ),
    ),
    Case(
        "no-way-to-metadata",
        changed(CLOSED, {"spec": {"egress": [{"ports": [{"port": 53}]}]}}),
        changed(CLOSED, {"spec": {"egress": [{"ports": [{"port": 80}]}]}}),
    ),
    # The agent that gives pods their roles is beside it, and is not a metadata service.
    Case("no-way-to-metadata", out_to("169.254.170.23/32"), out_to(METADATA)),
    Case("no-way-to-metadata", out_to("10.0.0.0/8"), out_to("128.0.0.0/1")),
    Case(
        "no-way-to-metadata",
        out_to("169.254.0.0/16", **{"except": [METADATA]}),
        out_to("169.254.0.0/16"),
    ),
    Case(
        "no-way-to-metadata",
        out_to("::/0", **{"except": ["fd00:ec2::254/128"]}),
        out_to("::/0"),
    ),
    Case(
        "services-behind-the-gateway",
        SERVICE,
        changed(SERVICE, {"spec": {"type": "LoadBalancer"}}),
    ),
    Case(
        "services-without-external-addresses",
        SERVICE,
        changed(SERVICE, {"spec": {"externalIPs": ["198.51.100.1"]}}),
    ),
    Case(
        "routes-have-access",
        ROUTE,
        ROUTE,
        good_related={"SecurityPolicy": [of("SecurityPolicy", "any")]},
        settings={"platform": {"gateway_is_internal": False}},
    ),
    Case("routes-have-time-limits", ROUTE, route(timeouts=None)),
    Case("routes-name-their-paths", ROUTE, route(matches=None)),
    Case(
        "routes-name-their-paths",
        changed(route(matches=None), {"spec": {"hostnames": ["a.example.com"]}}),
        route(matches=[{"method": "GET"}]),
    ),
    Case(
        "gateways-choose-namespaces",
        GATEWAY,
        changed(
            GATEWAY,
            {
                "spec": {
                    "listeners": [
                        changed(
                            GATEWAY["spec"]["listeners"][0],
                            {"allowedRoutes": {"namespaces": {"from": "All"}}},
                        )
                    ]
                }
            },
        ),
    ),
    Case("public-gateways-encrypt", PROXY, PUBLIC),
    Case(
        "public-gateways-encrypt",
        PUBLIC,
        PUBLIC,
        good_related={"Gateway": [HTTPS]},
        bad_related={"Gateway": [GATEWAY]},
    ),
]


def role(kind: str = "Role", **rule: Any) -> Object:
    found = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **rule}
    version = "rbac.authorization.k8s.io/v1"
    return of(kind, version, namespaced=kind == "Role", rules=[found])


def binding(role_name: str, subject: str) -> Object:
    group = "rbac.authorization.k8s.io"
    return of(
        "ClusterRoleBinding",
        f"{group}/v1",
        namespaced=False,
        roleRef={"apiGroup": group, "kind": "ClusterRole", "name": role_name},
        subjects=[{"apiGroup": group, "kind": "Group", "name": subject}],
    )


ACCOUNT = of("ServiceAccount", "v1", automountServiceAccountToken=False)
RIGHTS = [
    Case("rights-without-wildcards", role(), role(verbs=["*"])),
    Case(
        "rights-without-wildcards",
        role("ClusterRole"),
        role("ClusterRole", resources=["*"]),
    ),
    Case("rights-without-escalation", role(), role(verbs=["get", "impersonate"])),
    Case("rights-to-run-in-pods", role(), role(resources=["pods/exec"])),
    Case(
        "rights-to-all-secrets",
        role("ClusterRole", resources=["secrets"], resourceNames=["one"]),
        role("ClusterRole", resources=["secrets"]),
    ),
    Case(
        "rights-of-administrators",
        binding("view", "team-a"),
        binding("cluster-admin", "team-a"),
    ),
    Case(
        "rights-of-nobody",
        binding("view", "team-a"),
        binding("view", "system:authenticated"),
    ),
    Case(
        "accounts-without-tokens",
        ACCOUNT,
        changed(ACCOUNT, {"automountServiceAccountToken": None}),
    ),
]
POOL = of(
    "NodePool",
    "karpenter.sh/v1",
    namespaced=False,
    spec={
        "limits": {"cpu": "64"},
        "disruption": {
            "consolidateAfter": "300s",
            "budgets": [
                {"nodes": "100%", "reasons": ["Empty"]},
                {"nodes": "1", "reasons": ["Underutilized", "Drifted"]},
            ],
        },
        "template": {
            "spec": {
                "terminationGracePeriod": "3600s",
                "nodeClassRef": {
                    "group": "karpenter.k8s.aws",
                    "kind": "EC2NodeClass",
                    "name": NAME,
                },
                "requirements": [
                    {
                        "key": "kubernetes.io/os",
                        "operator": "In",
                        "values": ["linux"],
                    }
                ],
            }
        },
    },
)
DISK = {"deviceName": "/dev/xvda", "ebs": {"encrypted": True, "volumeSize": "100Gi"}}
NODES_OF = of(
    "EC2NodeClass",
    "karpenter.k8s.aws/v1",
    namespaced=False,
    spec={
        "amiFamily": "AL2023",
        "amiSelectorTerms": [{"alias": "al2023@v20260714"}],
        "associatePublicIPAddress": False,
        "blockDeviceMappings": [DISK],
        "instanceProfile": NAME,
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
        "securityGroupSelectorTerms": [{"tags": {"a": "b"}}],
        "subnetSelectorTerms": [{"tags": {"a": "b"}}],
    },
)
STORAGE = of(
    "StorageClass",
    "storage.k8s.io/v1",
    namespaced=False,
    provisioner="ebs.csi.aws.com",
    parameters={"encrypted": "true"},
    volumeBindingMode="WaitForFirstConsumer",
)


def nodes_of(**change: Any) -> Object:
    return changed(NODES_OF, {"spec": change})


NODES = [
    Case("node-pools-have-limits", POOL, changed(POOL, {"spec": {"limits": None}})),
    Case(
        "node-pools-drain-slowly",
        POOL,
        changed(POOL, {"spec": {"disruption": {"budgets": [{"nodes": "100%"}]}}}),
    ),
    Case(
        "node-pools-wait-for-pods",
        POOL,
        changed(
            POOL, {"spec": {"template": {"spec": {"terminationGracePeriod": None}}}}
        ),
    ),
    Case(
        "node-metadata-needs-tokens",
        NODES_OF,
        nodes_of(metadataOptions={"httpTokens": "optional"}),
    ),
    Case(
        "node-disks-are-encrypted",
        NODES_OF,
        nodes_of(blockDeviceMappings=[changed(DISK, {"ebs": {"encrypted": False}})]),
    ),
    Case(
        "node-images-are-pinned",
        NODES_OF,
        nodes_of(amiSelectorTerms=[{"alias": "al2023@latest"}]),
    ),
    Case(
        "nodes-have-no-public-address",
        NODES_OF,
        nodes_of(associatePublicIPAddress=True),
    ),
    Case(
        "volumes-are-encrypted",
        STORAGE,
        changed(STORAGE, {"parameters": {"encrypted": "false"}}),
    ),
    Case(
        "volumes-are-made-where-pods-are",
        STORAGE,
        changed(STORAGE, {"volumeBindingMode": None}),
    ),
]
KUBERNETES = [*WORKLOADS, *NETWORK, *RIGHTS, *NODES]

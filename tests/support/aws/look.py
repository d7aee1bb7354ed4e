"""What an account has, read by boto3 and made comparable."""

from __future__ import annotations

from typing import Any

from tests.support.aws.account import Account
from tests.support.aws.rules import live_endpoints, live_nats, node_groups

ANYWHERE = "0.0.0.0/0"


def tags(found: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Tags of an answer as a mapping."""
    return {tag[key]: tag[value] for tag in found.get("Tags", [])}


class Look:
    """A cluster and its surrounding resources, read from AWS."""

    def __init__(self, account: Account, cluster: str) -> None:
        self.account, self.name = account, cluster
        self.ec2 = account.client("ec2")
        self.eks = account.client("eks")
        self.rest = account.rest("eks")

    @property
    def cluster(self) -> Any:
        return self.eks.describe_cluster(name=self.name)["cluster"]

    @property
    def vpc(self) -> Any:
        mine = [{"Name": "tag:slipway.dev/cluster", "Values": [self.name]}]
        (found,) = self.ec2.describe_vpcs(Filters=mine)["Vpcs"]
        return found

    def _in_vpc(self, call: str, group: str) -> list[Any]:
        here = [{"Name": "vpc-id", "Values": [self.vpc["VpcId"]]}]
        found: list[Any] = getattr(self.ec2, call)(Filters=here)[group]
        return found

    @property
    def subnets(self) -> list[Any]:
        return self._in_vpc("describe_subnets", "Subnets")

    @property
    def nats(self) -> list[Any]:
        return [n for n in live_nats(self.account) if n["VpcId"] == self.vpc["VpcId"]]

    @property
    def endpoints(self) -> list[Any]:
        vpc = self.vpc["VpcId"]
        return [e for e in live_endpoints(self.account) if e["VpcId"] == vpc]

    def way_out(self, subnet: str) -> str | None:
        """What a subnet's packets to the internet are sent to; None: nothing."""
        for table in self._in_vpc("describe_route_tables", "RouteTables"):
            if subnet in [a.get("SubnetId") for a in table["Associations"]]:
                for route in table["Routes"]:
                    if route.get("DestinationCidrBlock") == ANYWHERE:
                        target = route.get("NatGatewayId") or route.get("GatewayId")
                        return str(target)
        return None

    @property
    def security_groups(self) -> list[Any]:
        return self._in_vpc("describe_security_groups", "SecurityGroups")

    @property
    def cluster_group(self) -> str:
        """Id of the security group that EKS itself makes for the cluster."""
        by_name = {one["GroupName"]: one["GroupId"] for one in self.security_groups}
        found: str = by_name[f"eks-cluster-sg-{self.name}"]
        return found

    @property
    def node_groups(self) -> dict[str, Any]:
        """By name."""
        found = node_groups(self.account, self.name)
        return {group["nodegroupName"]: group for group in found}

    def template(self, group: str) -> Any:
        """Data of the launch template version that a node group was made with."""
        used = self.node_groups[group]["launchTemplate"]
        return self.ec2.describe_launch_template_versions(
            LaunchTemplateId=used["id"], Versions=[used["version"]]
        )["LaunchTemplateVersions"][0]["LaunchTemplateData"]

    @property
    def access(self) -> dict[str, list[str]]:
        """Names of the access policies by principal."""
        entries = self.rest.list_access_entries(clusterName=self.name)["accessEntries"]
        return {
            principal: [
                policy["policyArn"].rpartition("/")[2]
                for policy in self.rest.list_associated_access_policies(
                    clusterName=self.name, principalArn=principal
                )["associatedAccessPolicies"]
            ]
            for principal in entries
        }

    @property
    def pod_identities(self) -> dict[tuple[str, str], str]:
        """Role of each (namespace, service account)."""
        listed = self.rest.list_pod_identity_associations(
            clusterName=self.name, maxResults=100
        )["associations"]
        return {
            (found["namespace"], found["serviceAccount"]): (
                self.rest.describe_pod_identity_association(
                    clusterName=self.name, associationId=found["associationId"]
                )["association"]["roleArn"]
            )
            for found in listed
        }

    def addon(self, name: str) -> Any:
        return self.rest.describe_addon(clusterName=self.name, addonName=name)["addon"]

    def key(self, identifier: str) -> Any:
        """A key's metadata, with whether it rotates."""
        kms = self.account.client("kms")
        found = kms.describe_key(KeyId=identifier)["KeyMetadata"]
        rotation = kms.get_key_rotation_status(KeyId=identifier)
        return {**found, "Rotates": rotation["KeyRotationEnabled"]}

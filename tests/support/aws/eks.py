"""EKS clusters and managed node groups.

Each emulator has one half of EKS: moto the clusters and node groups as they are
configured, ministack the add-ons, access entries and pod identities, and all tags. A
cluster and a node group are made in both, and read where they are kept in full.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.support.aws import eks_rules, log_rules
from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.handler import Change, Handler, Made, Properties
from tests.support.aws.rules import refuse_if, subnets
from tests.support.aws.tagging import pairs, removed


def set_eks_tags(aws: Account, arn: str, change: Change) -> None:
    """Brings the tags of an EKS resource to what they are to be."""
    if gone := removed(change):
        aws.rest("eks").untag_resource(resourceArn=arn, tagKeys=gone)
    aws.rest("eks").tag_resource(resourceArn=arn, tags=change.new["tags"])


class Cluster(Handler):
    type = "aws:eks/cluster:Cluster"
    required = frozenset({"name", "roleArn", "vpcConfig"})
    optional = frozenset(
        {
            "accessConfig",
            "bootstrapSelfManagedAddons",
            "deletionProtection",
            "enabledClusterLogTypes",
            "encryptionConfig",
            "kubernetesNetworkConfig",
            "remoteNetworkConfig",
            "upgradePolicy",
            "version",
            "zonalShiftConfig",
        }
    )
    updates = frozenset(
        {
            "accessConfig",
            "deletionProtection",
            "enabledClusterLogTypes",
            "remoteNetworkConfig",
            "upgradePolicy",
            "version",
            "vpcConfig",
            "zonalShiftConfig",
        }
    )
    replaces = frozenset({"accessConfig.bootstrapClusterCreatorAdminPermissions"})

    def _parameters(self, new: Properties) -> dict[str, dict[str, Any]]:
        """What CreateCluster and UpdateClusterConfig take, by input."""
        enabled = new.get("enabledClusterLogTypes") or []
        networks = new.get("remoteNetworkConfig")
        remote = {key: [value] for key, value in networks.items()} if networks else None
        return {
            "vpcConfig": {"resourcesVpcConfig": new["vpcConfig"]},
            "accessConfig": given(accessConfig=new.get("accessConfig")),
            "deletionProtection": given(
                deletionProtection=new.get("deletionProtection")
            ),
            "enabledClusterLogTypes": {
                "logging": {"clusterLogging": [{"types": enabled, "enabled": True}]}
            }
            if enabled
            else {},
            "remoteNetworkConfig": given(remoteNetworkConfig=remote),
            "upgradePolicy": given(upgradePolicy=new.get("upgradePolicy")),
            "zonalShiftConfig": given(zonalShiftConfig=new.get("zonalShiftConfig")),
        }

    def create(self, aws: Account, new: Properties) -> Made:
        eks_rules.cluster_fits(aws, new)
        parameters: dict[str, Any] = {"name": new["name"], "roleArn": new["roleArn"]}
        for part in self._parameters(new).values():
            parameters |= part
        if encryption := new.get("encryptionConfig"):
            parameters["encryptionConfig"] = [encryption]
        parameters |= given(
            version=new.get("version"),
            kubernetesNetworkConfig=new.get("kubernetesNetworkConfig"),
            bootstrapSelfManagedAddons=new.get("bootstrapSelfManagedAddons"),
            tags=new["tags"],
        )
        made = aws.client("eks").create_cluster(**parameters)["cluster"]
        aws.rest("eks").create_cluster(**parameters)
        if new.get("enabledClusterLogTypes"):
            _open_log_group(aws, new["name"])
        vpc = subnets(aws, new["vpcConfig"]["subnetIds"])[0]["VpcId"]
        network = {"vpcId": vpc, "clusterSecurityGroupId": _own_group(aws, new, vpc)}
        issuer = made["identity"]["oidc"]["issuer"]
        told = {
            "arn": made["arn"],
            "endpoint": made["endpoint"],
            "certificateAuthority": made["certificateAuthority"],
            "identities": [{"oidcs": [{"issuer": issuer}]}],
            "platformVersion": made["platformVersion"],
            "status": made["status"],
            "vpcConfig": new["vpcConfig"] | network,
        }
        return Made(new["name"], told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        eks = aws.client("eks")
        set_eks_tags(aws, change.state["arn"], change)
        # One kind of change a call: UpdateClusterConfig refuses more.
        for name, part in self._parameters(change.new).items():
            if change.of(name):
                eks.update_cluster_config(name=identifier, **part)
        if change.of("version"):
            aws.unjudged(
                "eks",
                "UpdateClusterVersion",
                name=identifier,
                version=change.new["version"],
            )
        network = change.state["vpcConfig"] | change.new["vpcConfig"]
        return {"vpcConfig": network}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        aws.rest("eks").describe_cluster(name=identifier)
        return aws.client("eks").describe_cluster(name=identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        refuse_if(
            state.get("deletionProtection"),
            f"InvalidRequestException: {identifier} has deletion protection on",
        )
        aws.client("eks").delete_cluster(name=identifier)
        aws.rest("eks").delete_cluster(name=identifier)
        group = state["vpcConfig"]["clusterSecurityGroupId"]
        aws.client("ec2").delete_security_group(GroupId=group)


def _open_log_group(aws: Account, cluster: str) -> None:
    """EKS writes into the group of the cluster's name, and makes it if need be."""
    logs = aws.client("logs")
    try:
        logs.create_log_group(logGroupName=log_rules.control_plane(cluster))
    except logs.exceptions.ResourceAlreadyExistsException:
        return


def _own_group(aws: Account, new: Properties, vpc: str) -> str:
    """The security group that EKS makes for a cluster, and removes with it."""
    tags = {f"kubernetes.io/cluster/{new['name']}": "owned"}
    made: str = aws.client("ec2").create_security_group(
        GroupName=f"eks-cluster-sg-{new['name']}",
        Description="EKS created security group",
        VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": pairs(tags)}],
    )["GroupId"]
    return made


class NodeGroup(Handler):
    type = "aws:eks/nodeGroup:NodeGroup"
    required = frozenset(
        {"clusterName", "nodeGroupName", "nodeRoleArn", "scalingConfig", "subnetIds"}
    )
    optional = frozenset(
        {
            "amiType",
            "capacityType",
            "forceUpdateVersion",
            "instanceTypes",
            "labels",
            "launchTemplate",
            "nodeRepairConfig",
            "releaseVersion",
            "taints",
            "updateConfig",
            "version",
        }
    )
    updates = frozenset(
        {
            "forceUpdateVersion",
            "labels",
            "launchTemplate",
            "nodeRepairConfig",
            "releaseVersion",
            "scalingConfig",
            "taints",
            "updateConfig",
            "version",
        }
    )
    replaces = frozenset({"launchTemplate.id", "launchTemplate.name"})

    def create(self, aws: Account, new: Properties) -> Made:
        eks_rules.node_group_fits(aws, new)
        parameters = given(
            clusterName=new["clusterName"],
            nodegroupName=new["nodeGroupName"],
            nodeRole=new["nodeRoleArn"],
            subnets=new["subnetIds"],
            scalingConfig=new["scalingConfig"],
            tags=new["tags"],
            amiType=new.get("amiType"),
            capacityType=new.get("capacityType"),
            instanceTypes=new.get("instanceTypes"),
            labels=new.get("labels"),
            launchTemplate=new.get("launchTemplate"),
            nodeRepairConfig=new.get("nodeRepairConfig"),
            releaseVersion=new.get("releaseVersion"),
            taints=new.get("taints"),
            updateConfig=new.get("updateConfig"),
            version=new.get("version"),
        )
        made = aws.client("eks").create_nodegroup(**parameters)["nodegroup"]
        other = aws.rest("eks").create_nodegroup(**parameters)["nodegroup"]
        _let_nodes_in(aws, new)
        groups = [
            {"name": group["name"]} for group in made["resources"]["autoScalingGroups"]
        ]
        told = {
            # ministack's, for it is the one that has the tags.
            "arn": other["nodegroupArn"],
            "status": made["status"],
            "resources": [{"autoscalingGroups": groups}],
        }
        return Made(f"{new['clusterName']}:{new['nodeGroupName']}", told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_eks_tags(aws, change.state["arn"], change)
        new = change.new
        which = {
            "clusterName": new["clusterName"],
            "nodegroupName": new["nodeGroupName"],
        }
        if change.of("version", "releaseVersion", "launchTemplate"):
            aws.unjudged(
                "eks",
                "UpdateNodegroupVersion",
                **which,
                **given(
                    version=new.get("version"),
                    releaseVersion=new.get("releaseVersion"),
                    launchTemplate=new.get("launchTemplate"),
                    force=new.get("forceUpdateVersion"),
                ),
            )
        changes: dict[str, Any] = {
            name: new[name]
            for name in ("scalingConfig", "updateConfig", "nodeRepairConfig")
            if change.of(name) and name in new
        }
        if change.of("labels"):
            changes["labels"] = _label_changes(change)
        if change.of("taints"):
            changes["taints"] = _taint_changes(change)
        if changes:
            aws.client("eks").update_nodegroup_config(**which, **changes)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        which = {
            "clusterName": state["clusterName"],
            "nodegroupName": state["nodeGroupName"],
        }
        aws.rest("eks").describe_nodegroup(**which)
        return aws.client("eks").describe_nodegroup(**which)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        which = {
            "clusterName": state["clusterName"],
            "nodegroupName": state["nodeGroupName"],
        }
        aws.client("eks").delete_nodegroup(**which)
        aws.rest("eks").delete_nodegroup(**which)


def _label_changes(change: Change) -> dict[str, Any]:
    old, new = change.old.get("labels") or {}, change.new.get("labels") or {}
    gone = sorted(old.keys() - new.keys())
    return {"addOrUpdateLabels": new, **({"removeLabels": gone} if gone else {})}


def _taint_changes(change: Change) -> dict[str, Any]:
    old, new = change.old.get("taints") or [], change.new.get("taints") or []
    gone = [taint for taint in old if taint not in new]
    return {
        **({"addOrUpdateTaints": new} if new else {}),
        **({"removeTaints": gone} if gone else {}),
    }


def _let_nodes_in(aws: Account, new: Properties) -> None:
    """EKS makes the access entry of a node group's role, unless there is one.

    https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html: one
    that is made afterwards by its name is then refused as already in use.
    """
    try:
        aws.rest("eks").create_access_entry(
            clusterName=new["clusterName"],
            principalArn=new["nodeRoleArn"],
            type="EC2_LINUX",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise

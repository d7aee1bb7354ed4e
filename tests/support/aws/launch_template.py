"""EC2 launch templates: a change makes a new version of the same template."""

from __future__ import annotations

from typing import Any

from tests.support.aws.account import Account
from tests.support.aws.convert import boolean
from tests.support.aws.handler import Change, Handler, Made, Properties
from tests.support.aws.tagging import ec2_specifications, pairs, set_ec2_tags

BOOLEAN_TEXT = frozenset(
    {
        "encrypted",
        "deleteOnTermination",
        "ebsOptimized",
        "associatePublicIpAddress",
        "associateCarrierIpAddress",
        "primaryIpv6",
    }
)
RENAMED = {
    "securityGroups": "Groups",
    "vpcSecurityGroupIds": "SecurityGroupIds",
    "ramDiskId": "RamDiskId",
}
DATA = frozenset(
    {
        "blockDeviceMappings",
        "capacityReservationSpecification",
        "cpuOptions",
        "disableApiTermination",
        "ebsOptimized",
        "iamInstanceProfile",
        "imageId",
        "instanceInitiatedShutdownBehavior",
        "instanceMarketOptions",
        "instanceType",
        "keyName",
        "maintenanceOptions",
        "metadataOptions",
        "monitoring",
        "networkInterfaces",
        "placement",
        "privateDnsNameOptions",
        "tagSpecifications",
        "userData",
        "vpcSecurityGroupIds",
    }
)
"""Inputs that are the data of a version; the others are the template's own."""


def _data(value: Any, name: str = "") -> Any:
    """Inputs as LaunchTemplateData has them; botocore refuses what it has not."""
    if name == "tags":
        return pairs(value)
    if isinstance(value, dict):
        return {
            RENAMED.get(key, key[:1].upper() + key[1:]): _data(item, key)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_data(item) for item in value]
    return boolean(value) if name in BOOLEAN_TEXT else value


class LaunchTemplate(Handler):
    type = "aws:ec2/launchTemplate:LaunchTemplate"
    required = frozenset({"name"})
    optional = DATA | {"description", "updateDefaultVersion", "defaultVersion"}
    updates = optional

    def _version(self, new: Properties) -> dict[str, Any]:
        data = _data({key: new[key] for key in DATA if key in new})
        said = (
            {"VersionDescription": new["description"]} if "description" in new else {}
        )
        return {"LaunchTemplateData": data, **said}

    def create(self, aws: Account, new: Properties) -> Made:
        made = aws.client("ec2").create_launch_template(
            LaunchTemplateName=new["name"],
            TagSpecifications=ec2_specifications("launch-template", new),
            **self._version(new),
        )["LaunchTemplate"]
        identifier = made["LaunchTemplateId"]
        told = {
            "arn": aws.arn("ec2", f"launch-template/{identifier}"),
            "latestVersion": made["LatestVersionNumber"],
            "defaultVersion": made["DefaultVersionNumber"],
        }
        return Made(identifier, told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        if not change.of("description", *DATA):
            return {}
        ec2 = aws.client("ec2")
        made = ec2.create_launch_template_version(
            LaunchTemplateId=identifier, **self._version(change.new)
        )["LaunchTemplateVersion"]["VersionNumber"]
        default = change.new.get("defaultVersion")
        if change.new.get("updateDefaultVersion"):
            default = made
        if default is not None:
            ec2.modify_launch_template(
                LaunchTemplateId=identifier, DefaultVersion=str(default)
            )
        told = {"defaultVersion": default} if default is not None else {}
        return {"latestVersion": made, **told}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        ec2 = aws.client("ec2")
        return ec2.describe_launch_templates(LaunchTemplateIds=[identifier])

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ec2").delete_launch_template(LaunchTemplateId=identifier)

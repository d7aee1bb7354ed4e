"""Every type of resource that there is a handler for."""

from __future__ import annotations

from tests.support.aws import (
    cloudwatch,
    ecr,
    eks,
    eks_access,
    firewall,
    iam,
    kms,
    launch_template,
    network,
    routing,
    s3,
    sqs,
)
from tests.support.aws.handler import Handler

HANDLERS: dict[str, Handler] = {
    handler.type: handler
    for handler in (
        network.Vpc(),
        network.Subnet(),
        network.InternetGateway(),
        network.Eip(),
        network.NatGateway(),
        network.PlacementGroup(),
        routing.SecondRange(),
        routing.RouteTable(),
        routing.Route(),
        routing.RouteTableAssociation(),
        routing.VpcEndpoint(),
        routing.FlowLog(),
        firewall.SecurityGroup(),
        firewall.DefaultSecurityGroup(),
        firewall.IngressRule(),
        firewall.EgressRule(),
        launch_template.LaunchTemplate(),
        cloudwatch.LogGroup(),
        cloudwatch.EventRule(),
        cloudwatch.EventTarget(),
        kms.Key(),
        kms.Alias(),
        iam.Role(),
        iam.RolePolicy(),
        iam.RolePolicyAttachment(),
        iam.InstanceProfile(),
        eks.Cluster(),
        eks.NodeGroup(),
        eks_access.Addon(),
        eks_access.AccessEntry(),
        eks_access.AccessPolicyAssociation(),
        eks_access.PodIdentityAssociation(),
        s3.Bucket(),
        s3.Versioning(),
        s3.Encryption(),
        s3.PublicAccessBlock(),
        s3.Policy(),
        s3.Lifecycle(),
        s3.OwnershipControls(),
        s3.Logging(),
        ecr.Repository(),
        ecr.LifecyclePolicy(),
        sqs.Queue(),
        sqs.QueuePolicy(),
    )
}

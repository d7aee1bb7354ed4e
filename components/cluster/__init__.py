"""The cluster and all that it stands on in an AWS account."""

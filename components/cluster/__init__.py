"""The cluster and all that it needs in an AWS account."""

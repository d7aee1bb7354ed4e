"""The VPC: address plan, subnets, endpoints, flow logs."""

"""Model servers: workload, network access, scaling and alerts."""

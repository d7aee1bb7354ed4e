"""Software for a node's GPUs: device plugin and metrics."""

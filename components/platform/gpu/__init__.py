"""What makes a node's GPUs usable and visible: device plugin and metrics."""

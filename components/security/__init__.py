"""What makes workloads hard to abuse, in one place for all components."""

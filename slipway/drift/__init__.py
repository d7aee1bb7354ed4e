"""What in a cluster or an account is no longer as the engine's state has it."""

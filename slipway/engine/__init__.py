"""Runs of stacks on Pulumi's engine: state, locks, signals and output."""

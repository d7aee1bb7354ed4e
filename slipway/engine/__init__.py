"""Stacks run on Pulumi's engine: state, locks, signals, and what a run says."""

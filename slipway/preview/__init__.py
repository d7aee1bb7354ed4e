"""What a change does to stacks, found by comparing two renderings."""

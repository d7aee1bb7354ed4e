"""The effect of a change on stacks, found by comparing two renderings."""

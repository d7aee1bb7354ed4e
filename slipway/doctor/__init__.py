"""Looks at what a stack will need, or has, and changes nothing."""

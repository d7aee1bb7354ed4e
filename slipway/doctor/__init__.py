"""Checks what a stack will need, or has; changes nothing."""

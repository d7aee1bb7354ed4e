"""Shared code: paths, locks, commands, and how programs are obtained.

Nothing here knows about the lab, stacks or components.
"""

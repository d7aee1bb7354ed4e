"""What everything else may use: paths, locks, commands, and how programs are obtained.

Nothing here knows of the lab, of stacks or of components.
"""

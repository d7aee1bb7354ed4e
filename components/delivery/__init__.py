"""Rollouts of new revisions: what they are told, and the controller that decides."""

"""Rollouts of new revisions: their settings, and the controller that runs them."""

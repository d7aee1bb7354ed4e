"""Runs of jobs: started, followed, listed and stopped."""

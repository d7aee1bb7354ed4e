"""Attributions: samples for the job that makes them, and figures of what it sends."""

"""The reusable component resources, and their underlying facts."""

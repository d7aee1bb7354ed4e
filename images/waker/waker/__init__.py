"""Puts model servers to sleep when nobody calls them, and wakes them for who does."""

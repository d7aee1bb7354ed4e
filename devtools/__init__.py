"""For developers of this project: its environment, pins, type check, cleaning."""

"""Shared code of programs in pods; images get this folder beside their own program."""

"""Judges what stacks render by the rules in policies/; changes nothing."""

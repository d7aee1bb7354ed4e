"""The rules in policies/ as a policy pack: Pulumi's CLI asks it about each resource."""

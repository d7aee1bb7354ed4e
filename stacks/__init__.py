"""The Pulumi programs, one module per layer: wiring only."""

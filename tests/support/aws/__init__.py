"""An AWS account in this machine's memory, and a provider of Pulumi's that fills it."""

"""Says how likely a resident has a job: a Django project with a model."""

"""Says how likely a resident has a job: a FastAPI application with a model."""

"""Says how likely a resident has a job: a Flask application with a model."""

"""What a model's pods wrote, and one request followed by its id."""

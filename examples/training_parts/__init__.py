"""What the training examples share: rows, checkpoints, and the model folder."""

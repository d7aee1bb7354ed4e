"""Prediction logs in S3, as the log shipper writes them: read, never changed."""

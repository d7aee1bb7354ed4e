"""Entry point of the HDFS image."""

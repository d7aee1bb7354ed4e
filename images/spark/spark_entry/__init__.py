"""Entry point of the Spark image: driver, executor and history server in pods."""

"""What programs in pods share; images get this folder beside their own program."""

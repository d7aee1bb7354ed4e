"""The whole of a model server's arguments, and the checks across its parts."""

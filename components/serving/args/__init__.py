"""All arguments of a model server, and the checks across its parts."""

"""Everything on this machine: the lab, what it took, and what it keeps on disk."""

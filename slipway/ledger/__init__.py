"""The ledger of model versions: what ran when, why, and by whose word; model cards."""

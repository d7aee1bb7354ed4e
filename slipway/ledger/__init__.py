"""The ledger of model versions: what ran when, why, on whose decision; model cards."""

"""Training one trial: a pure function of (spec, seed). Knows nothing of search or storage."""

"""What a number stands on: tidy records, their provenance, printed numbers, claims, what depends on what."""

"""Muller et al. (2021): first align, then predict; languages unseen in pre-training."""

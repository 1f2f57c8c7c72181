"""Zhao et al. (2023): signatures of languages by PARAFAC2, and trees of them."""

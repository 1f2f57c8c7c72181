"""PARAFAC2 and what is read from it."""

from xsim_lib.factorization.solver import Parafac2, parafac2

__all__ = ["Parafac2", "parafac2"]

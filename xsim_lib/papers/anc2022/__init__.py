"""Del & Fishel (2022): average neuron-wise correlation, and where CKA fails."""

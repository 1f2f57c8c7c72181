"""Encoders: our own, public ones loaded strictly, their tokenizers, what two languages share in one."""

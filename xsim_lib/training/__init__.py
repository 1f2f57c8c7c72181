"""Training loops and the zoo of what they made."""

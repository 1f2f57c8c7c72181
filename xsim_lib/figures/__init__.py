"""The few kinds of figure, in one style."""

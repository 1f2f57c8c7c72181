"""Builds: which page runs when, in which process, at what cost; recorded tables measured and verified."""

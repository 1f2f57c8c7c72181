"""Text as it comes: its types, real corpora, artificial languages, romanisation."""

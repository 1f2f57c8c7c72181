"""What is learned on top of an encoder: classifier, tagger, parser, and transfer between languages."""

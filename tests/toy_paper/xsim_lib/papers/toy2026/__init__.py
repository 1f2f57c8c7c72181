"""A paper of one figure, one claim and one printed number: the least that the book takes."""

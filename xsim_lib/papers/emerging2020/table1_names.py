"""What the rows and columns of Table 1 are called, in the paper and in our records."""

PAIRS = ("en-fr", "en-ru", "en-zh")
METRICS = {"nli": "accuracy", "ner": "f1", "parsing": "las"}
DEFAULT, OTHER_DOMAIN = "Default", "Wiki-CC"
SOME, NONE, EXTRA = "Default anchors", "No anchors", "Extra anchors"
SEPARATE, THIRD, MOST = "Sep Emb", "Sep Emb + L1-3", "Sep Emb + L1-6"
LOWER_THIRD, LOWER_MOST = "Sep L1-3", "Sep L1-6"
ALL_SEPARATE = (SEPARATE, THIRD, MOST, LOWER_THIRD, LOWER_MOST)
ROWS = (DEFAULT, OTHER_DOMAIN, SOME, NONE, EXTRA, *ALL_SEPARATE)
CHAINS = ((DEFAULT, SEPARATE, THIRD, MOST), (DEFAULT, LOWER_THIRD, LOWER_MOST))

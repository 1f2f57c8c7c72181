"""Wu, Conneau et al. (2020): what makes a bilingual model bilingual, and aligning monolingual ones."""

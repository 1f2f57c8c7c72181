"""What a page starts with: settings of its paper at a profile, models at hand, records, verdicts."""

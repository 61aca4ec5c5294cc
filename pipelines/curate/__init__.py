"""`rssn build-bg20k`: photographs become a background set."""

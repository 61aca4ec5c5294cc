"""`rssn compose` and `rssn pack`: a plan becomes shards of rows."""

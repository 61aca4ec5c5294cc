"""`rssn review`: a person looks at verdicts in a browser."""

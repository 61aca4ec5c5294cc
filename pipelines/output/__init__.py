"""Where a data set is written: one driver at a time, into a folder or a bucket, with its manifest and card."""

"""A data set on disk: columns, shards, rows, whether it is whole, and what it holds."""

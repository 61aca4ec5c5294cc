"""Bytes here or in a bucket: files, URLs, YAML, and files of weights."""

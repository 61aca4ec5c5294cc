"""The commands of `train`: each parses, calls, prints."""

"""The commands of `rssn`, one module for each part of the job; they parse, call and report, and nothing else."""

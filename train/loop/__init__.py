"""The training loop, its processes, and what it stores."""

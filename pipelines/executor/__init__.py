"""Tasks become marks, in this process or on Ray."""

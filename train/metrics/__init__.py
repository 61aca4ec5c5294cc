"""How far a predicted matte is from the truth: one row for each metric. Arrays in, numbers out; no torch."""

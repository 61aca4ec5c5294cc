"""The closed form for F and B (Levin, Lischinski and Weiss 2007), solved by multigrid."""

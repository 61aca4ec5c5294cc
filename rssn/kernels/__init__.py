"""Compiled code: BM3D and the closed form, on vectors of floats."""

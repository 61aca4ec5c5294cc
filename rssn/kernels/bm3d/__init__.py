"""BM3D in colour (Dabov et al. 2007)."""

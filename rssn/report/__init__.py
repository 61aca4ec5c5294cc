"""Pages, charts and contact sheets."""

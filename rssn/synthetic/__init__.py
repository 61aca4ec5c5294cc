"""Synthetic test pictures: photographs that the project renders itself, with exact alpha, foreground and background.

The demo and the tests work on them, so neither needs a download. Everything follows from a seed, to the byte.
"""

from rssn.synthetic.backgrounds import render_background
from rssn.synthetic.folder import SyntheticPlan, write_synthetic
from rssn.synthetic.shots import SyntheticShot, render_shot

__all__ = ["SyntheticPlan", "SyntheticShot", "render_background", "render_shot", "write_synthetic"]

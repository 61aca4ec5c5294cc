"""The studio: photographs that the project renders itself, with exact alpha, foreground and background.

The demo and the tests work on them, so neither needs a download. Everything follows from a seed, to the byte.
"""

from rssn.synthetic.folder import StudioPlan, write_studio
from rssn.synthetic.scenes import render_background
from rssn.synthetic.shots import StudioShot, render_shot

__all__ = ["StudioPlan", "StudioShot", "render_background", "render_shot", "write_studio"]

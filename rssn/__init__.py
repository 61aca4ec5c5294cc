"""The composition route: arrays in, arrays out, and the Parquet contract.

Floor 1 of the house: no Ray, no torch, no printing. `foreground` and `denoise` are the kernels, `recipe` holds
the settings and the only dice, `route` composes, `images` is the border to bytes, `shards` the border to disk.
"""

from rssn.storage.machine import use_cache_home as _use_cache_home

_use_cache_home()  # before a library looks for its own

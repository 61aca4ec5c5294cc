"""GFM: the network, its trainer and its judge.

Floor 2 of the house, and the only room that knows torch. `rosta`, `losses` and `metrics` are the paper's equations,
`network` its section 3, `data` reads the shards, `loop` trains, `evaluate` and `predict` use what was trained.
"""

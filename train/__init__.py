"""GFM: the network, its trainer and its evaluation.

Floor 2 of the house, and the only room that knows torch. `targets`, `losses` and `metrics` are the paper's equations,
`network` its section 3, `data` reads the shards, `loop` trains, `evaluation` and `predict` use what was trained.
"""

"""A Ray cluster of two nodes on this machine, in a process of its own: `python -m tests.pipelines.cluster`.

Prints its address, and loses its second node when a line comes in. Its first node says that it has a GPU.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}


def main() -> None:
    """Start, wait, lose a node, wait, stop."""
    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"num_gpus": 1})
    second = cluster.add_node(num_cpus=1, object_store_memory=NODE["object_store_memory"])
    cluster.wait_for_nodes()
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    if sys.stdin.readline() == "lose a node\n":
        cluster.remove_node(second, allow_graceful=False)
        sys.stdin.readline()
    cluster.shutdown()


if __name__ == "__main__":
    main()

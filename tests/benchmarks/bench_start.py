"""What it costs to start: the median CPU time of `import rssn` and of `--help`, each in a process of its own.

python -m tests.benchmarks.bench_start
"""

from __future__ import annotations

from statistics import median

from tests.benchmarks.table import command_cost

COMMANDS = {
    "python": ["-c", "pass"],
    "import rssn": ["-c", "import rssn"],
    "rssn.compose": ["-c", "import rssn; rssn.compose"],
    "rssn --help": ["-m", "pipelines.cli", "--help"],
    "train --help": ["-m", "train.cli", "--help"],
    "rssn compose --help": ["-m", "pipelines.cli", "compose", "--help"],
    "train run --help": ["-m", "train.cli", "run", "--help"],
}


def main() -> None:
    """Print a line for each."""
    for name, command in COMMANDS.items():
        costs = [command_cost(command) for _ in range(5)]
        seconds = median(cost.seconds for cost in costs)
        print(f"{name:>20}  {seconds:.2f} CPU-seconds, {(costs[0].peak or 0) / 1e6:.0f} MB")  # noqa: T201


if __name__ == "__main__":
    main()

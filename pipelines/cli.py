"""The `rssn` command: its subcommands, in the order of the work."""

from __future__ import annotations

import click

from train.commands.group import SETTINGS, LazyGroup, Subcommand

_ROOM = "pipelines.commands"

_TABLE = (
    Subcommand(
        "demo",
        f"{_ROOM}.look:demo",
        "Run the whole job on pictures that the project renders itself: nothing is downloaded.",
    ),
    Subcommand("build-bg20k", f"{_ROOM}.curate:build_bg20k", "Curate photographs into a background set (section 4.1)."),
    Subcommand("review", f"{_ROOM}.review:review", "Check a curated set by eye, in the browser (section 4.1)."),
    Subcommand(
        "compose",
        f"{_ROOM}.composition:compose",
        "Compose foregrounds onto backgrounds by the RSSN route (Pipeline 1).",
    ),
    Subcommand(
        "pack", f"{_ROOM}.composition:pack", "Pack real photographs with their closed-form F and B (the ORI-Track)."
    ),
    Subcommand(
        "prune", f"{_ROOM}.prune:prune", "Remove the composites of pictures that are not at their source any more."
    ),
    Subcommand("status", f"{_ROOM}.look:status", "Say how far a run is, from another terminal.", resumes=False),
    Subcommand(
        "inspect",
        f"{_ROOM}.look:inspect",
        "Verify a data set, count it, and write a report with pictures.",
        resumes=False,
    ),
    Subcommand(
        "replay", f"{_ROOM}.composition:replay", "Compose one stored row again and compare the bytes.", resumes=False
    ),
    Subcommand("recipe", f"{_ROOM}.route:recipe", "Print a recipe that ships, as a start for your own.", resumes=False),
    Subcommand("steps", f"{_ROOM}.route:steps", "List the steps that a recipe may name.", resumes=False),
    Subcommand("export", f"{_ROOM}.export:export", "Write a data set as the files that other trainers read."),
    Subcommand(
        "gap",
        f"{_ROOM}.gap:gap",
        "Say how far composites are from photographs, without training a network.",
        resumes=False,
    ),
    Subcommand("study", "pipelines.study.command:study", "Ask which training data make the better network."),
)


@click.group(cls=LazyGroup, table=_TABLE, context_settings=SETTINGS)
@click.version_option(package_name="rssn")
def main() -> None:
    """Photographs in, trustworthy matting training shards out.

    \b
    rssn demo                                       see it work, without any data
    rssn build-bg20k PHOTOS --out bg20k/            curate backgrounds
    rssn review bg20k/                              check them by eye
    rssn compose --matting AM-2k --backgrounds bg20k/ --k 5 --out shards/
    rssn status shards/                             how far it is, from another terminal
    rssn inspect shards/                            verify, count, look
    rssn gap shards/ --real PHOTOS --out gap/       how far composites are from photographs
    rssn study STUDY.yaml --out study/              which route makes the better network?
    """  # noqa: D301


if __name__ == "__main__":
    main()

"""`train predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from rssn.errors import Rejected
from rssn.progress import Progress
from train.commands.options import FILE, FOLDER, PATH, fail_if, networks, open_networks, say_unread


@click.command()
@networks
@click.option("--out", type=FOLDER, default=Path("predictions"), help="Folder for the results.")
@click.option("--background", type=FILE, help="Also compose each subject on this picture.")
@click.argument("photos", nargs=-1, required=True, type=PATH)
def predict(
    checkpoints: tuple[Path, ...], out: Path, background: Path | None, photos: tuple[Path, ...], **how: Any
) -> None:
    """Cut subjects out of photographs.

    Writes <name>-alpha.png and <name>-cutout.png (RGBA, colours of the foreground alone, by the closed form) for each
    of PHOTOS, which are files or folders, and <name>-composite.png with --background. The exit code is 1 if a
    photograph failed.

    \b
    Examples:
      train predict --checkpoint runs/first/last.pt cat.jpg dog.jpg --out mattes/
      train predict --checkpoint runs/first/last.pt photos/ --background beach.jpg --hybrid 1/3 1/2
    """  # noqa: D301
    from train.predict import Cutter, find_photos, read_background  # noqa: PLC0415

    given = find_photos(photos, out)
    scene = read_background(background) if background else None
    opened, strategy = open_networks(checkpoints, **how)
    cutter, failures = Cutter(opened, strategy, out, scene), given.failures
    with Progress(len(given.found), "photos", silent=len(given.found) == 1) as progress:
        for photo, name in given.found:
            try:
                files = cutter.cut(photo, name)
            except Rejected as error:
                failures.append(f"{photo}: {error}")
            else:
                progress.say("\n".join(str(path) for path in files), sys.stdout)
            progress.advance()
    say_unread(given.unread)
    fail_if(failures, "could not be predicted")

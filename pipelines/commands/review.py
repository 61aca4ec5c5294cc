"""`rssn review`."""

from __future__ import annotations

import threading
import webbrowser

import click

from pipelines.review.bucket_log import open_log
from pipelines.review.log import review_path
from pipelines.review.queue import load_review
from pipelines.review.server import Review, ReviewServer
from pipelines.review.thumbnails import Pictures
from rssn.dataset.manifest import read_manifest
from rssn.storage.location import Location
from train.commands.options import PLACE


@click.command()
@click.argument("out", type=PLACE)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where the page is served; 0 takes any port.")
@click.option("--open/--no-open", "show", default=True, help="Whether to open the page in the browser.")
def review(out: Location, port: int, show: bool) -> None:
    """Check a curated set by eye, in the browser (section 4.1).

    This is the paper's manual double check. It shows the photographs of OUT, a build-bg20k output, the least certain
    verdict first. Every decision is in OUT/review.sqlite the moment it is made, in a bucket a second later; rssn
    build-bg20k --apply-review publishes the set with them. Ctrl-C ends it.
    """
    photos = load_review(out)
    pictures = Pictures(out)
    with open_log(out) as log:
        server = ReviewServer(Review(out.resolve().name, photos, pictures, log), port)
        click.echo(f"{len(photos.photos)} photographs, {photos.decided(log.current())} decided: {server.address}")
        click.echo("only this machine can open it; Ctrl-C ends the review, and nothing is lost")
        if show:  # some browsers wait for the page
            threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("")
        finally:
            server.server_close()
        decided = photos.decided(log.current())
    click.echo(f"{decided} of {len(photos.photos)} photographs decided: {review_path(out)}")
    click.echo(f"to publish the set with them: {_publishing(out)}")


def _publishing(out: Location) -> str:
    """The command that made the set, as it was given, with the review applied."""
    command = read_manifest(out).command or "rssn build-bg20k ..."
    return command if "--apply-review" in command.split() else f"{command} --apply-review"

"""The real server in a process of its own, over real sockets."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rssn.image.decoding import decode_pixels
from tests.pipelines.reviewing import Served, decided, duplicate, salient, serve, small, verdict, write_set

ROWS = [verdict(0, score=0.4), salient(1, 0.6), duplicate(2, 0, 6), small(3), *(verdict(n) for n in range(4, 60))]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("reviewed") / "set", ROWS)


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[Served]:
    with serve(root) as server:
        yield server


def test_the_page_and_all_that_it_needs_come_from_here(served: Served) -> None:
    for path, kind, words in (
        ("", "text/html", b'<script src="review.js" defer>'),
        ("review.js", "text/javascript", b"X-Review-Token"),
        ("review.css", "text/css", b"prefers-reduced-motion"),
    ):
        status, headers, data = served.ask(f"/{served.token}/{path}")
        assert status == 200
        assert headers["content-type"].startswith(kind)
        assert words in data
        assert b"http://" not in data.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in data
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"


def test_it_listens_on_the_loopback_address_alone(served: Served) -> None:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f"{served.port:04X}"
    assert {row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port}")} == {f"0100007F:{port}"}
    assert len(served.token) >= 32


@pytest.mark.parametrize(
    "path", ["/", "/photos", "/wrong/", "/wrong/photos", "/{token}", "/{token}x/photos", "///", "/{half}/photos"]
)
def test_without_the_token_nothing_is_told(served: Served, path: str) -> None:
    half = served.token[: len(served.token) // 2]
    status, _, data = served.ask(path.format(token=served.token, half=half))
    assert status == 403
    assert b"jpg" not in data
    assert served.token.encode() not in data


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", ""]
)
def test_another_name_that_points_here_is_turned_away(served: Served, host: str) -> None:
    status, _, _ = served.ask(f"/{served.token}/photos", headers={"Host": host.format(port=served.port)})
    assert status == 403


def test_localhost_is_the_same_place(served: Served) -> None:
    status, _, _ = served.ask(f"/{served.token}/photos", headers={"Host": f"localhost:{served.port}"})
    assert status == 200


@pytest.mark.parametrize(
    "path",
    [
        "../verdicts.parquet",
        "../../../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "thumbnail/../../manifest.json",
        "thumbnail/-1",
        "thumbnail/1e3",
        "thumbnail/60",
        "picture/999999999",
        "picture/0/",
        "review.py",
        "review_server.py",
        "\\..\\manifest.json",
    ],
)
def test_no_path_leads_anywhere_else(served: Served, path: str) -> None:
    status, _, data = served.ask(f"/{served.token}/{path}")
    assert status == 404
    assert len(data) < 100


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "X-Review-Token is missing or wrong"),
        ({"X-Review-Token": "wrong"}, "X-Review-Token is missing or wrong"),
        ({"X-Review-Token": "{token}", "Origin": "http://evil.example"}, "request from another site"),
        ({"X-Review-Token": "{token}", "Origin": "null"}, "request from another site"),
    ],
)
def test_another_site_cannot_decide(served: Served, root: Path, headers: dict[str, str], words: str) -> None:
    sent = {name: text.format(token=served.token) for name, text in headers.items()}
    body = {"decisions": [{"number": 0, "choice": "reject"}]}
    before = decided(root)
    status, _, data = served.ask(f"/{served.token}/decide", body, sent)
    assert (status, words in data.decode()) == (403, True)
    assert decided(root) == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_unknown(served: Served, method: str) -> None:
    status, headers, _ = served.ask(f"/{served.token}/decide", method=method)
    assert status == 501
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        ([], 400),
        ({}, 400),
        ({"decisions": []}, 400),
        ({"decisions": [{"number": 0, "choice": "keep"}], "session": None}, 400),
        ({"decisions": [{"number": 0, "choice": "keep"}], "session": "a'b; c d"}, 400),
        ({"decisions": [{"number": True, "choice": "keep"}]}, 400),
        ({"decisions": [{"number": 0, "choice": "maybe"}]}, 400),
        ({"decisions": [{"number": 0, "choice": "keep"}] * 49}, 400),
        (b"x" * 70_000, 400),
        ({"decisions": [{"number": 999, "choice": "keep"}]}, 409),
    ],
)
def test_bad_bodies_are_answered_and_change_nothing(served: Served, root: Path, body: Any, status: int) -> None:
    before = decided(root)
    found, answer = served.post("decide", body)
    assert (found, list(answer)) == (status, ["error"])
    assert decided(root) == before


def test_pages_follow_each_other(served: Served) -> None:
    first = served.get("photos?show=all&start=0")
    assert (first["name"], first["total"], len(first["photos"])) == ("set", 60, 48)
    second = served.get(f"photos?start={first['photos'][-1]['number'] + 1}")
    assert (second["first"], len(second["photos"])) == (48, 12)
    assert len({photo["source"] for photo in first["photos"] + second["photos"]}) == 60
    back = served.get(f"photos?start={second['photos'][0]['number']}&backwards=1")
    assert [photo["number"] for photo in back["photos"]] == [photo["number"] for photo in first["photos"]]
    assert served.ask(f"/{served.token}/photos?start=x")[0] == 400


def test_pictures_are_jpegs_of_bounded_size(served: Served) -> None:
    for photo in served.get("photos")["photos"]:
        status, headers, data = served.ask(f"/{served.token}/thumbnail/{photo['number']}")
        if photo["reason"] == "too_small":
            assert status == 404
            continue
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert max(decode_pixels(data).shape[:2]) <= 512
        assert len(data) < 200_000
    status, _, data = served.ask(f"/{served.token}/picture/{served.get('photos?show=keep')['photos'][0]['number']}")
    assert (status, decode_pixels(data).shape) == (200, (480, 720, 3))


@pytest.mark.slow
def test_the_first_page_of_20000_photographs_is_small(tmp_path: Path) -> None:
    write_set(tmp_path / "set", [verdict(number, score=0.4) for number in range(20_000)], pictures=False)
    with serve(tmp_path / "set") as server:
        status, _, data = server.ask(f"/{server.token}/photos")
        assert (status, server.get("photos")["total"]) == (200, 20_000)
        assert len(data) < 30_000


def test_the_browser_is_opened_at_the_address_unless_told_otherwise(tmp_path: Path) -> None:
    write_set(tmp_path / "set", ROWS[:3])
    script, opened = tmp_path / "browser", tmp_path / "opened"
    script.write_text(f"#!/bin/sh\necho $1 > {opened}.new && mv {opened}.new {opened}\n")
    script.chmod(0o755)
    with serve(tmp_path / "set", "--open", BROWSER=f"{script} %s") as server:
        deadline = time.monotonic() + 300
        while not opened.is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        server.get("photos")
        assert opened.read_text().strip() == server.address


def test_getting_changes_nothing(served: Served, root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for path in ("", "photos", "decide", "undo", "decide?number=0&choice=reject", "thumbnail/0"):
        served.ask(f"/{served.token}/{path}")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_decisions_and_undo_are_on_disk_when_the_answer_comes(tmp_path: Path) -> None:
    write_set(tmp_path / "set", ROWS[:6])
    with serve(tmp_path / "set") as server:
        numbers = {photo["source"]: photo["number"] for photo in server.get("photos")["photos"]}
        keeper, copy, cat = (numbers[f"{number:05d}.jpg"] for number in (0, 2, 1))
        body = {"decisions": [{"number": keeper, "choice": "reject"}], "copies": True, "show": "keep"}
        status, answer = server.post("decide", body)
        assert (status, answer["changed"]) == (200, {str(keeper): "reject", str(copy): "reject"})
        assert (answer["summary"]["decided"], answer["summary"]["show"]) == (2, "keep")
        assert decided(tmp_path / "set") == {"00000.jpg": "reject", "00002.jpg": "reject"}
        assert server.post("decide", {"decisions": [{"number": cat, "choice": "keep"}]})[0] == 200
        assert decided(tmp_path / "set")["00001.jpg"] == "keep"
        assert server.post("undo", {})[1]["changed"] == {str(cat): None}
        assert server.post("undo", {})[1]["changed"] == {str(keeper): None, str(copy): None}
        assert decided(tmp_path / "set") == {}
        assert server.post("undo", {})[1]["changed"] == {}
        status, answer = server.post("decide", {"decisions": [{"number": numbers["00003.jpg"], "choice": "keep"}]})
        assert status == 409
        assert answer["error"].startswith("00003.jpg: it cannot be kept: 640 x 480 px")


def test_each_window_undoes_its_own_steps(tmp_path: Path) -> None:
    write_set(tmp_path / "set", ROWS[:6])
    with serve(tmp_path / "set") as server:
        numbers = {photo["source"]: photo["number"] for photo in server.get("photos")["photos"]}
        first, second, third = (numbers[f"{number:05d}.jpg"] for number in (0, 4, 5))

        def decide(number: int, choice: str, window: str) -> None:
            body = {"decisions": [{"number": number, "choice": choice}]}
            assert server.post("decide", body, window)[0] == 200

        decide(first, "reject", "window-1")
        decide(second, "reject", "window-1")
        decide(third, "reject", "window-2")
        assert server.post("undo", {}, "window-1")[1]["changed"] == {str(second): None}
        decide(first, "keep", "window-2")
        status, answer = server.post("undo", {}, "window-1")
        assert (status, answer["error"]) == (
            409, "00000.jpg was decided again in another window since; that decision stays"
        )  # fmt: skip
        assert server.post("undo", {}, "window-1")[1]["changed"] == {}
        assert decided(tmp_path / "set") == {"00000.jpg": "keep", "00005.jpg": "reject"}
        body = {"decisions": [{"number": n, "choice": "keep"} for n in (second, third)], "only_undecided": True}
        assert server.post("decide", body, "window-1")[1]["changed"] == {str(second): "keep", str(third): "reject"}
        assert server.post("undo", {}, "window-2")[1]["changed"] == {str(first): "reject"}


def test_decisions_that_are_deleted_under_way_are_not_said_to_be_stored(tmp_path: Path) -> None:
    write_set(tmp_path / "set", ROWS[:6])
    with serve(tmp_path / "set") as server:
        body = {"decisions": [{"number": 0, "choice": "reject"}]}
        assert server.post("decide", body)[0] == 200
        (tmp_path / "set" / "review.sqlite").unlink()
        words = (
            "review.sqlite: was deleted during the review, so nothing is stored any more. Its 1 decisions were saved to"
        )
        for path in ("decide", "undo"):
            status, answer = server.post(path, body)
            assert (status, words in answer["error"]) == (503, True)
        assert server.ask(f"/{server.token}/photos")[0] == 503
        server.process.send_signal(signal.SIGINT)
        out, err = server.process.communicate(timeout=300)
        assert server.process.returncode == 1
        assert "decided" not in out
        assert (words in err, err.count("\n")) == (True, 1)


def test_a_damaged_file_of_decisions_ends_the_command_in_one_line(tmp_path: Path) -> None:
    write_set(tmp_path / "set", ROWS[:6])
    damaged = b"SQLite format 3\0" + bytes(range(256)) * 16
    (tmp_path / "set" / "review.sqlite").write_bytes(damaged)
    with (
        pytest.raises(
            AssertionError, match=r"Error: .*/set/review\.sqlite: .*; restore a copy of it, or move"
        ) as caught,
        serve(tmp_path / "set"),
    ):
        pass
    assert str(caught.value).count("\n") == 1
    assert (tmp_path / "set" / "review.sqlite").read_bytes() == damaged


@pytest.mark.slow
def test_five_hundred_requests_at_once_are_all_answered(tmp_path: Path) -> None:
    """Each on a connection of its own: pages, thumbnails and decisions."""
    write_set(tmp_path / "set", [verdict(number, score=0.4) for number in range(60)])
    with serve(tmp_path / "set") as server:
        ready = threading.Barrier(500)

        def ask(number: int) -> int:
            ready.wait(300)
            if number % 5 == 0:
                body = {"decisions": [{"number": number % 40, "choice": "reject"}]}
                return server.post("decide", body, f"window-{number}")[0]
            return server.ask(f"/{server.token}/{'photos' if number % 5 < 3 else f'thumbnail/{number % 40}'}")[0]

        with ThreadPoolExecutor(500) as pool:
            assert Counter(pool.map(ask, range(500))) == {200: 500}
        assert decided(tmp_path / "set").keys() == {
            photo["source"] for photo in server.get("photos")["photos"] if photo["choice"] == "reject"
        }


@pytest.mark.slow
def test_a_kill_loses_no_decision(tmp_path: Path) -> None:
    write_set(tmp_path / "set", ROWS[:6])
    for round_number, choice in enumerate(("reject", "keep")):
        with serve(tmp_path / "set") as server:
            page = server.get("photos?show=keep" if round_number == 0 else "photos?show=salient_object")
            number, source = page["photos"][0]["number"], page["photos"][0]["source"]
            assert server.post("decide", {"decisions": [{"number": number, "choice": choice}]})[0] == 200
            server.process.send_signal(signal.SIGKILL)
            assert server.process.wait(300) == -signal.SIGKILL
        with serve(tmp_path / "set") as server:
            [photo] = [p for p in server.get("photos")["photos"] if p["source"] == source]
            assert photo["choice"] == choice
            assert server.get("photos")["summary"]["decided"] == round_number + 1


def test_ctrl_c_ends_it_and_names_the_next_command(tmp_path: Path) -> None:
    write_set(tmp_path / "set", ROWS[:6])
    with serve(tmp_path / "set") as server:
        server.post("decide", {"decisions": [{"number": 0, "choice": "reject"}]})
        server.process.send_signal(signal.SIGINT)
        out, err = server.process.communicate(timeout=300)
        assert server.process.returncode == 0
        assert "1 of 6 photographs decided" in out
        assert "rssn build-bg20k photos --out set --apply-review" in out
        assert (err, server.token in out) == ("", False)


def test_a_port_that_is_taken_is_said(tmp_path: Path, served: Served) -> None:
    write_set(tmp_path / "set", ROWS[:1])
    with (
        pytest.raises(AssertionError, match="Address already in use; 0 takes any that is free"),
        serve(tmp_path / "set", "--port", str(served.port)),
    ):
        pass


def test_the_model_decides_the_rest_when_it_knows_enough(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [salient(n, 1.0) if n % 4 == 0 else verdict(n) for n in range(200)])
    with serve(root) as server:
        status, answer = server.post("rest", {})
        assert (status, answer["error"][:36]) == (409, "there are too few decisions to learn")
        numbers = [number for number in range(200) if number % 40 < 30]
        photos = {p["number"]: p for start in range(0, 200, 40) for p in server.get(f"photos?start={start}")["photos"]}
        for start in range(0, len(numbers), 40):
            made = [
                {"number": n, "choice": "keep" if photos[n]["keep"] else "reject"} for n in numbers[start : start + 40]
            ]
            status, answer = server.post("decide", {"decisions": made})
        assert answer["summary"]["model"]["open"] == 50
        assert answer["summary"]["model"]["left"] == 0
        status, answer = server.post("rest", {})
        assert (status, len(answer["changed"])) == (200, 50)
        assert answer["summary"]["decided"] == 200
        status, answer = server.post("undo", {})
        assert answer["summary"]["decided"] == 150

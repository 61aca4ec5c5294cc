"""The review page in headless Chromium, driven with clicks and keys as a person would.

Needs Debian's `chromium` and `chromium-driver` (or CHROMIUM and CHROMEDRIVER with their paths); skips without them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from pipelines.review.bucket_log import copy_of
from pipelines.review.log import NewDecision, ReviewLog, read_decisions, review_path
from rssn.storage.location import BucketPath
from tests.bucket import Fault, Store
from tests.pipelines.reviewing import Served, decided, decided_in, duplicate, salient, serve, small, verdict, write_set

pytestmark = pytest.mark.slow

Browser: TypeAlias = webdriver.Chrome

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,800",
)
ROWS = [
    verdict(0, score=0.45),  # number 1
    salient(1, 0.5),  # number 0
    duplicate(2, 0, 4),  # number 2
    *(verdict(n, score=0.3 - n / 1000) for n in range(4, 120)),
    small(3),  # among the last
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})  # as a window that is in front
    yield chrome
    chrome.quit()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", ROWS)


@pytest.fixture
def page(browser: Browser, root: Path) -> Iterator[Page]:
    browser.get_log("browser")
    with serve(root) as server:
        browser.get(server.address)
        page = Page(browser, server, root)
        page.until(lambda: len(page.tiles()) == 48)
        yield page
        said = [entry["message"] for entry in browser.get_log("browser")]
        assert [words for words in said if "responded with a status of 4" not in words] == []
        browser.get("about:blank")  # nothing is asked of a server that is gone


class Page:
    """What a person sees and does."""

    def __init__(self, browser: Browser, server: Served, root: Path) -> None:
        self.browser, self.server, self.root = browser, server, root

    def until(self, holds: Callable[[], Any]) -> None:
        """Wait for it; what is looked at may be drawn anew meanwhile."""
        WebDriverWait(self.browser, 300, 0.05, [StaleElementReferenceException]).until(lambda _: holds())

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def tiles(self) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, ".tile")

    def sources(self) -> list[str]:
        script = "return [...document.querySelectorAll('.tile .words span:last-child')].map(node => node.textContent)"
        found: list[str] = self.browser.execute_script(script)  # type: ignore[no-untyped-call]
        return found

    def selected(self) -> str:
        return self.find(".tile:focus .words span:last-child").text

    def state(self, number: int) -> str:
        return self.find(f".tile[data-number='{number}'] .state").text

    def click_filter(self, words: str) -> None:
        buttons = self.browser.find_elements(By.CSS_SELECTOR, "#filters button")
        next(button for button in buttons if words in button.text).click()

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def toast(self) -> str:
        return str(self.find("#toast").get_attribute("textContent"))  # text is empty while it fades in

    def width_of(self, selector: str) -> int:
        """Of a picture, px; 0 where it is not there yet."""
        script = "return document.querySelector(arguments[0])?.naturalWidth ?? 0"
        return int(self.browser.execute_script(script, selector))  # type: ignore[no-untyped-call]


def test_people_see_pictures_boxes_and_pairs_least_certain_first(page: Page) -> None:
    assert page.sources()[:3] == ["00001.jpg", "00000.jpg", "00002.jpg"]
    assert page.browser.title == "Review of set"
    assert page.text("#place") == "1 to 48 of 120"
    page.until(lambda: page.width_of(".tile[data-number='1'] img") == 512)
    picture = page.find(".tile[data-number='0'] img").rect
    box = page.find(".tile[data-number='0'] rect").rect
    assert page.text(".tile[data-number='0'] text") == "cat 0.50"
    shown_width = min(picture["width"], picture["height"] * 256 / 171)
    assert box["width"] == pytest.approx(0.5 * shown_width, abs=4)
    middle = box["x"] + box["width"] / 2
    assert middle == pytest.approx(picture["x"] + picture["width"] / 2, abs=3)
    pair = page.tiles()[2].find_elements(By.CSS_SELECTOR, "img")
    assert [image.get_attribute("alt") for image in pair] == ["00002.jpg", "00000.jpg"]
    captions = [node.text for node in page.tiles()[2].find_elements(By.CSS_SELECTOR, "figcaption")]
    assert captions == ["this one", "kept instead"]


def test_pictures_load_when_they_come_into_sight(page: Page) -> None:
    page.until(lambda: page.width_of(".tile[data-number='1'] img") == 512)
    assert page.width_of(".tile:last-child img") == 0
    page.press(Keys.END)
    page.until(lambda: page.width_of(".tile:last-child img") == 512)


def test_keys_decide_and_move_on_and_undo(page: Page) -> None:
    assert page.selected() == "00001.jpg"
    page.press("k")
    assert page.state(0) == "✓ You keep it"
    assert page.selected() == "00000.jpg"
    page.press("r")
    assert page.state(1) == "✕ You reject it · 1 copy"
    assert "Its best copy is kept instead" in page.toast()
    assert page.tiles()[2].find_elements(By.CSS_SELECTOR, "figcaption")[1].text == "you reject it"
    page.until(lambda: page.text("#all-words") == "2 of 120 of all")
    assert decided(page.root) == {"00001.jpg": "keep", "00000.jpg": "reject"}
    page.press("u")
    page.until(lambda: page.state(1) == "✓ Kept · 1 copy")
    assert page.selected() == "00000.jpg"
    page.press("R")
    page.until(lambda: page.text("#all-words") == "3 of 120 of all")
    assert decided(page.root) == {"00001.jpg": "keep", "00000.jpg": "reject", "00002.jpg": "reject"}
    page.press("u", "u")
    page.until(lambda: page.text("#all-words") == "0 of 120 of all")
    page.press("u")
    page.until(lambda: page.toast() == "There is nothing to undo.")
    assert decided(page.root) == {}


def test_clicks_decide_filter_and_enlarge(page: Page) -> None:
    page.find(".tile[data-number='0'] [data-choice='keep']").click()
    page.until(lambda: decided(page.root) == {"00001.jpg": "keep"})
    page.click_filter("Duplicate")
    page.until(lambda: page.sources() == ["00002.jpg"])
    assert page.text("#shown-words") == "0 of 1 decided of these"
    page.find(".tile .pictures").click()
    assert page.find("#large").get_attribute("open") is not None
    assert len(page.browser.find_elements(By.CSS_SELECTOR, "#large-pictures img")) == 2
    page.find("#large [data-choice='keep']").click()
    page.until(lambda: decided(page.root) == {"00001.jpg": "keep", "00002.jpg": "keep"})
    page.find("#large-close").click()
    page.find("#undo").click()
    page.until(lambda: decided(page.root) == {"00001.jpg": "keep"})
    page.find("#undecided").click()
    page.click_filter("Salient object")
    page.until(lambda: page.find("#empty").is_displayed())


def test_arrows_letters_and_digits_move(page: Page) -> None:
    page.press(Keys.ARROW_RIGHT, "l", "l")
    assert page.selected() == page.sources()[3]
    page.press("j", Keys.ARROW_LEFT)
    assert page.selected() == page.sources()[1]
    page.press(Keys.ARROW_DOWN)
    below = page.find(".tile:focus").rect
    page.press(Keys.ARROW_UP)
    assert page.selected() == page.sources()[1]
    assert below["y"] > page.find(".tile:focus").rect["y"]
    page.press("3")
    page.until(lambda: page.sources() == ["00001.jpg", "00002.jpg", "00003.jpg"])
    page.press("0")
    page.until(lambda: page.find("#undecided").is_selected())
    page.press("1", "0")
    page.until(lambda: len(page.tiles()) == 48 and not page.find("#undecided").is_selected())


def test_pages_turn_and_hold_no_more_than_one_page(page: Page) -> None:
    first = page.sources()
    page.press(Keys.END, Keys.ARROW_RIGHT)
    page.until(lambda: page.text("#place") == "49 to 96 of 120")
    second = page.sources()
    page.press(Keys.PAGE_DOWN)
    page.until(lambda: page.text("#place") == "97 to 120 of 120")
    assert not page.find("#next").is_enabled()
    assert sorted(first + second + page.sources()) == sorted(row["source"] for row in ROWS)
    page.browser.refresh()
    page.until(lambda: page.text("#place") == "97 to 120 of 120")
    page.press(Keys.ARROW_LEFT)
    page.until(lambda: page.sources() == second)
    assert page.selected() == second[-1]
    nodes = page.browser.execute_script("return document.querySelectorAll('*').length")  # type: ignore[no-untyped-call]
    assert nodes < 48 * 20 + 200


def test_the_rest_of_a_page_is_confirmed_with_one_key(page: Page) -> None:
    page.press("0")
    page.until(lambda: page.find("#undecided").is_selected() and len(page.tiles()) == 48)
    page.press("k", "a")
    page.until(lambda: page.text("#place") == "1 to 48 of 72")
    found = decided(page.root)
    assert (len(found), found["00001.jpg"], found["00002.jpg"], found["00000.jpg"]) == (48, "keep", "reject", "keep")
    page.press("u")
    page.until(lambda: decided(page.root) == {"00001.jpg": "keep"})


def test_what_cannot_be_kept_says_why(page: Page) -> None:
    page.click_filter("Too small")
    page.until(lambda: page.sources() == ["00003.jpg"])
    page.until(lambda: page.text(".missing") == "no picture")
    assert not page.find(".tile [data-choice='keep']").is_enabled()
    page.press("k")
    assert "00003.jpg: it cannot be kept: 640 x 480 px" in page.toast()
    page.press("r")
    page.until(lambda: decided(page.root) == {"00003.jpg": "reject"})


def test_the_large_view_works_with_keys_alone(page: Page) -> None:
    page.press(Keys.ARROW_RIGHT, Keys.ENTER)
    page.until(lambda: page.width_of("#large-pictures img") == 720)
    assert page.text("#large-name") == "00000.jpg"
    assert page.find("#large-copies img").get_attribute("alt") == "00002.jpg"
    page.press("r")
    page.until(lambda: page.text("#large-name") == "00002.jpg")
    assert len(page.browser.find_elements(By.CSS_SELECTOR, "#large-pictures img")) == 2
    page.press("j")
    assert page.text("#large-state") == "✕ You reject it · 1 copy"
    page.press(Keys.ESCAPE)
    page.until(lambda: page.selected() == "00000.jpg")
    page.until(lambda: decided(page.root) == {"00000.jpg": "reject"})


def test_everything_is_reached_and_named_without_a_mouse(page: Page) -> None:
    assert page.find(".tile:focus").get_attribute("aria-label") == "Salient object: 00001.jpg. cat with confidence 0.50"
    outline = page.find(".tile:focus").value_of_css_property("outline-width")
    assert outline == "4px"
    reached = []
    for _ in range(4):
        page.press(Keys.TAB)
        reached.append(page.browser.switch_to.active_element.get_attribute("id"))
    assert reached == ["next", "accept", "undo", "help"]
    script = """return [...document.querySelectorAll("button, progress, img")].filter((node) =>
        !node.textContent.trim() && !node.ariaLabel && !node.alt && !node.getAttribute("aria-labelledby")).length"""
    assert page.browser.execute_script(script) == 0  # type: ignore[no-untyped-call]
    page.press("?")
    assert page.find("#keys").get_attribute("open") is not None
    page.press(Keys.ESCAPE)


def test_a_server_that_is_gone_is_said_aloud(browser: Browser, root: Path) -> None:
    with serve(root) as server:
        browser.get(server.address)
        page = Page(browser, server, root)
        page.until(lambda: len(page.tiles()) == 48)
        server.process.kill()
        server.process.wait()
        page.press("r")
        page.until(lambda: page.find("#trouble").is_displayed())
        assert page.text("#trouble").startswith("The server does not answer: decisions are no longer stored.")
        page.until(lambda: page.state(0) == "✕ Salient object")


def test_each_tab_undoes_its_own_steps(page: Page) -> None:
    first = page.browser.current_window_handle
    page.press("k", "r")
    page.until(lambda: decided(page.root) == {"00001.jpg": "keep", "00000.jpg": "reject"})
    page.browser.switch_to.new_window("tab")
    page.browser.get(page.server.address)
    page.until(lambda: len(page.tiles()) == 48)
    page.press("u")
    page.until(lambda: page.toast() == "There is nothing to undo.")
    page.press("r")
    page.until(lambda: decided(page.root)["00001.jpg"] == "reject")
    page.browser.switch_to.window(first)
    page.browser.refresh()  # is the same window, with the same steps
    page.until(lambda: page.state(0) == "✕ You reject it")
    page.press("u")
    page.until(lambda: decided(page.root) == {"00001.jpg": "reject"})
    page.press("u")
    words = "Not undone: 00001.jpg was decided again in another window since; that decision stays"
    page.until(lambda: page.toast() == words)
    page.press("u")
    page.until(lambda: page.toast() == "There is nothing to undo.")
    assert decided(page.root) == {"00001.jpg": "reject"}
    assert not page.find("#trouble").is_displayed()


def test_confirming_a_page_spares_what_another_tab_decided_meanwhile(page: Page) -> None:
    body = {"decisions": [{"number": 0, "choice": "keep"}, {"number": 1, "choice": "reject"}]}
    assert page.server.post("decide", body, "another-window")[0] == 200
    assert page.state(0) == "✕ Salient object"
    page.press("a")
    page.until(lambda: "2 were decided differently in another window meanwhile" in page.toast())
    found = decided(page.root)
    assert (len(found), found["00001.jpg"], found["00000.jpg"]) == (48, "keep", "reject")


def test_decisions_that_are_deleted_under_way_are_said_aloud(browser: Browser, root: Path) -> None:
    with serve(root) as server:
        browser.get(server.address)
        page = Page(browser, server, root)
        page.until(lambda: len(page.tiles()) == 48)
        page.press("k")
        page.until(lambda: page.text("#all-words") == "1 of 120 of all")
        (root / "review.sqlite").unlink()
        page.press("r")
        page.until(lambda: page.find("#trouble").is_displayed())
        assert (
            "was deleted during the review, so nothing is stored any more. Its 1 decisions were saved to"
            in page.text("#trouble")
        )
        page.until(lambda: page.state(1) == "✓ Kept · 1 copy")
        page.press("0")
        page.until(lambda: page.toast().endswith("start rssn review again"))
        assert page.find("#trouble").is_displayed()
        browser.get("about:blank")


def test_an_upload_that_fails_is_said_until_it_is_made_good(
    browser: Browser, s3: Store, bucket: str, root: Path
) -> None:
    there = BucketPath(f"{bucket}/set")
    for path in filter(Path.is_file, root.rglob("*")):
        s3.put(f"{there}/{path.relative_to(root)}", path.read_bytes())
    with serve(there) as server:
        browser.get(server.address)
        page = Page(browser, server, root)
        page.until(lambda: page.width_of(".tile[data-number='0'] img") > 0)
        s3.faults = [Fault("refuse", "PUT", "review.sqlite", times=1000)]
        page.press("r")
        page.until(lambda: page.find("#trouble").is_displayed())
        assert page.text("#trouble").startswith(f"{there}/review.sqlite: access is refused")
        assert page.text("#trouble").endswith("the decisions are on this disk, and their upload is tried again")
        s3.faults = []
        page.until(lambda: not page.find("#trouble").is_displayed())
        assert decided_in(s3.get(f"{there}/review.sqlite")) == {"00001.jpg": "reject"}
        assert copy_of(there).is_file()
        browser.get("about:blank")


def test_what_the_model_knows_is_offered_decided_and_undone(browser: Browser, tmp_path: Path) -> None:
    rows = [salient(n, 1.0) if n % 4 == 0 else verdict(n) for n in range(200)]
    root = write_set(tmp_path / "set", rows)
    log = ReviewLog(review_path(root))
    given = [(row["source"], row["background_id"], row["keep"]) for row in rows[:149]]
    log.decide([NewDecision(name, key, "keep" if keep else "reject") for name, key, keep in given], "another-window")
    log.close()
    with serve(root) as server:
        browser.get(server.address)
        page = Page(browser, server, root)
        page.until(lambda: page.find("#model").is_displayed())
        assert page.text("#rest") == "Decide the clear rest (51)"
        page.press("m")
        page.until(lambda: page.text("#place") == "1 to 48 of 51")
        assert not set(page.sources()) & {name for name, *_ in given}
        page.press("a" if page.find("#rest").get_attribute("disabled") else "l")
        page.until(lambda: page.find("#rest").is_enabled())
        assert page.text("#model-words").startswith("Enough is known: decided by the model, the rest is expected")
        before = len(decided(root))
        page.find("#rest").click()
        page.until(lambda: len(decided(root)) == 200)
        page.until(lambda: not page.find("#model").is_displayed())
        assert {one.by for one in read_decisions(root).values()} == {"person", "model"}
        page.press("u")
        page.until(lambda: len(decided(root)) == before)
        browser.get("about:blank")

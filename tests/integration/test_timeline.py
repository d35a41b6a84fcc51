# SPDX-License-Identifier: MIT
"""piagent timeline, in a terminal's text, as JSON, and as a page in a browser."""

import json
import pathlib
import time

import boot_sectors
import pytest
from piagent import NOT_FOUND, USAGE, User, wait_for
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from test_hostile_guest import Guest

EVIL = "</script><img src=x onerror=\"document.title='pwned'\">"


@pytest.fixture(scope="module")
def user():
    with User(LC_ALL="C.UTF-8") as user:
        user.boot("box", boot_sectors.deaf(user.home))
        guest, now = Guest(user, "box"), time.time()

        def report(name, at, result=None, text=""):
            time.sleep(max(0, now + at - time.time()))  # a guest reports nothing before it happens
            event = {"name": name, "description": text, "event_type": "finish" if result else "start", "origin": "cloudinit", "timestamp": now + at}
            assert guest.post({**event, "result": result} if result else event) == 200

        report("init-network/config-ssh", 0)
        report("init-network/config-ssh", .2, "SUCCESS")
        report("init-network", .21, "SUCCESS")
        report("modules-final/config-scripts-user", .25)
        report("modules-final/config-scripts-user", .4, "FAIL", EVIL)
        report("modules-final", .41, "FAIL")
        yield user


@pytest.fixture(params=["light", "dark"])
def browser(request, user, tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium" if pathlib.Path("/usr/bin/chromium").exists() else "/usr/bin/chromium-browser"
    for word in ("--no-sandbox", "--headless=new", "--disable-dev-shm-usage", "--window-size=1200,900", f"--user-data-dir={tmp_path}/profile",
                 *(["--force-dark-mode"] if request.param == "dark" else [])):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": request.param}]})
    driver.scheme = request.param
    yield driver
    driver.quit()


def test_the_terminal_shows_what_ran_and_what_failed(user):
    text = user.do("timeline", "box")
    assert "box: boot 1" in text and "init-network" in text and "config-ssh" in text, text
    failed = next(line for line in text.splitlines() if "config-scripts-user" in line)
    assert "✗" in failed
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 100
    pair = user.do("timeline", "box", "box@1", "--sort", "difference")
    assert pair.startswith("A  box: boot 1") and "B-A" in pair


def test_json_has_the_documented_shape(user):
    boot = json.loads(user.do("timeline", "box", "--json"))["boots"][0]
    assert (boot["instance"], boot["boot"], boot["outcome"]) == ("box", 1, "failed")
    spans = {span["name"]: span for span in boot["spans"]}
    assert spans["init-network/config-ssh"]["duration_ms"] in range(199, 202)
    assert spans["modules-final/config-scripts-user"]["result"] == "fail"
    assert spans["modules-final/config-scripts-user"]["text"] == EVIL


def test_what_is_not_there_is_refused(user):
    assert "did you mean box?" in user.refused(NOT_FOUND, "timeline", "bax")
    assert "boots 1 to 1" in user.refused(NOT_FOUND, "timeline", "box@-1")
    user.refused(USAGE, "timeline", "box@x")
    assert "no regular file" in user.refused(USAGE, "timeline", "box", "--html", "/dev/null")


def test_the_page_draws_the_steps_and_lets_nothing_of_a_guest_act(user, browser, tmp_path):
    page = tmp_path / "page.html"
    user.do("timeline", "box", "box@1", "--html", str(page))
    browser.get(page.as_uri())
    names = [name.text for name in browser.find_elements(By.CSS_SELECTOR, ".row .name span:first-of-type")]
    assert [name for name in names if name.startswith("config-")] == ["config-ssh", "config-scripts-user"], names
    row = next(row for row in browser.find_elements(By.CSS_SELECTOR, ".row.step") if "config-scripts-user" in row.text)
    assert len(row.find_elements(By.CSS_SELECTOR, ".bar.fail")) == 2
    ActionChains(browser).move_to_element(row).perform()
    tip = browser.find_element(By.ID, "tip")
    wait_for("the details are shown", tip.is_displayed, 5)
    assert EVIL in tip.text and "0.1s" in tip.text, tip.text
    assert browser.find_elements(By.TAG_NAME, "img") == [] and browser.title == "Boot of box and box@1"
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(17, 21, 27)" if browser.scheme == "dark" else "rgb(246, 247, 249)")
    assert browser.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {entry["params"]["request"]["url"] for entry in asked if entry["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith(("chrome", "data:"))} <= {page.as_uri()}, urls

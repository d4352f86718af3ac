"""The page of a violation in a real browser: what it shows, and that it asks for nothing else."""
import glob
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ["CINNABAR_PROGRAM"]
LEDGER = os.environ["LEDGER"]
SKIPPED = 77  # as ctest has been told

BROWSER = next(filter(None, map(shutil.which, (
    "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))), None)


class Elements(html.parser.HTMLParser):
    """How many elements there are of each class outside of the legend, and of each name."""
    def __init__(self, text):
        super().__init__()
        self.counts = {}
        self.is_legend = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        kind = dict(attributes).get("class")
        self.is_legend = (self.is_legend or kind == "legend")
        if not self.is_legend:
            self.counts[kind] = self.counts.get(kind, 0) + 1
        self.counts["<" + tag] = self.counts.get("<" + tag, 0) + 1

    def handle_endtag(self, tag):
        if tag == "ul":
            self.is_legend = False

    def count(self, kind):
        return self.counts.get(kind, 0)


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="cinnabar-page.", dir="/dev/shm")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        images = cls.path("images")
        os.mkdir(images)
        # A ledger that counts its third entry before it is written.
        done = subprocess.run(
            [PROGRAM, "crash", "run", "--file", cls.path("ledger"), "--image-dir", images,
             "--recover-cmd", f"{LEDGER} check right", "--images", "15", "--random", "3",
             "--violations", "8", "--page", cls.folder, "--",
             LEDGER, "write", cls.path("ledger"), "third_count_first"],
            capture_output=True, text=True, timeout=60)
        assert done.returncode == 8, done.stdout + done.stderr
        cls.last = max(glob.glob(cls.path("violation-*.html")))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def open(self, page, *words):
        """The browser's output, what it logged, and the addresses that it asked for."""
        log = self.path("requests.json")
        done = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-background-networking", "--disable-component-update", "--no-first-run",
             "--user-data-dir=" + self.path("profile"), "--enable-logging=stderr",
             "--log-net-log=" + log, "--window-size=1320,800", *words, "file://" + page],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        with open(log, encoding="utf-8") as file:
            events = json.load(file)["events"]
        asked = {event["params"]["url"] for event in events
                 if "url" in event.get("params", {})}
        return done.stdout, said, {url for url in asked if not url.startswith("file:")}

    def test_shows_lanes_fences_and_the_crash(self):
        text, said, asked = self.open(self.last, "--dump-dom")
        self.assertEqual((said, asked), ([], set()))
        page = Elements(text)
        with open(self.last, encoding="utf-8") as file:
            written = Elements(file.read())
        # The browser has understood every element as it was written.
        for kind in "<rect", "<line", "<circle", "<path", "<title", "<dd":
            self.assertEqual(page.count(kind), written.count(kind), kind)
        # The count, and three entries of which the third is not durable yet.
        self.assertEqual(page.count("lane"), 4)
        self.assertEqual(page.count("fence"), 5)
        self.assertEqual(page.count("crash"), 1)
        self.assertEqual(page.count("store"), 6)
        self.assertEqual(page.count("word"), 8)
        self.assertGreaterEqual(page.count("lost"), 1)
        self.assertEqual(page.count("<script"), 0)
        # What the workload had printed by then: at the call behind it, and no other.
        self.assertEqual(page.count("operation"), 2)
        self.assertEqual([text.count(f"printed: {number}<") for number in (1, 2, 3)], [1, 1, 0])
        self.assertIn(">printed</text>", text)
        # On the first two entries, which stand; not on the third, nor on how many there are.
        self.assertEqual((page.count("deciding"), page.count("same")), (3, 1))
        self.assertIn("<dt>Since</dt><dd>crash point ", text)
        marks = re.findall('class="(operation|store|flush)"', text[:text.index('"legend"')])
        entry = ["store", "flush"] * 2  # the count, and then it
        self.assertEqual(marks, entry + ["operation"] + entry + ["operation"] + entry)

    def test_is_painted_for_light_and_for_dark(self):
        """Whether a picture is good is for people to see: CINNABAR_PICTURES names a folder to keep
        it in. Here: it is no empty page, and the scheme changes it."""
        pictures = {}
        for scheme, number in ("light", 1), ("dark", 0):
            path = os.path.join(os.environ.get("CINNABAR_PICTURES", self.folder), scheme + ".png")
            self.open(self.last, "--screenshot=" + path,
                      f"--blink-settings=preferredColorScheme={number}")
            with open(path, "rb") as file:
                pictures[scheme] = file.read()
            self.assertGreater(len(pictures[scheme]), 20000)
        self.assertNotEqual(pictures["light"], pictures["dark"])

    def test_the_log_has_the_same_page(self):
        folder = self.path("log")
        os.mkdir(folder)
        done = subprocess.run(
            [PROGRAM, "crash", "log", "--scenario", "appending", "--break", "testimony_too_great",
             "--page", folder], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 8, done.stdout + done.stderr)
        path = os.path.join(folder, "violation-1.html")
        text, said, asked = self.open(path, "--dump-dom")
        self.assertEqual((said, asked), ([], set()))
        page = Elements(text)
        with open(path, encoding="utf-8") as file:
            written = Elements(file.read())
        for kind in "<rect", "<line", "<circle", "<path", "<title", "<dd":
            self.assertEqual(page.count(kind), written.count(kind), kind)
        # The ceiling, a header twice, a link, a record, and two that are pending, in five lines.
        self.assertEqual(page.count("lane"), 10)
        self.assertEqual(page.count("crash"), 1)
        self.assertEqual(page.count("word"), 5 * 8)
        self.assertEqual(page.count("lost"), 2, "one word, as a box and a cross")
        self.assertEqual(page.count("operation"), 4, "three begin, and one is acknowledged")
        # All but the second line of the record that is lost: it does not verify anyway.
        self.assertEqual((page.count("deciding"), page.count("same")), (9, 1))
        self.assertIn("<dt>Since</dt><dd>append 3 (crash point ", text)
        picture = os.path.join(os.environ.get("CINNABAR_PICTURES", self.folder), "log.png")
        self.open(path, "--screenshot=" + picture)
        self.assertGreater(os.path.getsize(picture), 20000)

    def test_a_request_or_an_error_would_be_seen(self):
        spoiled = self.path("spoiled.html")
        with open(self.last, encoding="utf-8") as file:
            text = file.read()
        with open(spoiled, "w", encoding="utf-8") as file:
            file.write(text.replace("<h1>", "<img src='http://elsewhere.invalid/x.png'><h1>"))
        _, said, asked = self.open(spoiled, "--dump-dom")
        self.assertIn("Content Security Policy", "".join(said))
        self.assertEqual(asked, set(), "the page forbids it by itself")
        with open(spoiled, "w", encoding="utf-8") as file:
            file.write("<img src='http://elsewhere.invalid/x.png'><script>none()</script>")
        _, said, asked = self.open(spoiled, "--dump-dom")
        self.assertIn("none is not defined", "".join(said))
        self.assertIn("http://elsewhere.invalid/x.png", asked)


if __name__ == "__main__":
    if BROWSER is None:
        print("skipped: there is no chromium; tools/setup installs chromium-headless-shell")
        sys.exit(SKIPPED)
    unittest.main()

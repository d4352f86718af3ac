"""`cinnabar crash`: its scenarios and mutants, what it prints, and what it says of bad words."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from program import OK, PROGRAM, USAGE, ProgramTest

VIOLATION = 8
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
DOCUMENT = os.path.join(ROOT, "engine/doc/CRASH.md")
TRAPS = os.path.join(ROOT, "engine/doc/TRAPS.md")
SUMS = ("images", "images_distinct", "images_repeated", "states_represented_log10",
        "not_tried_log10", "images_per_s", "crash_points", "crash_points_cut_short", "appends",
        "violations", "levels")
LEVELS = ("boundary", "one_line", "two_lines", "random")


class CrashLog(ProgramTest):
    def campaign(self, *words, code=OK):
        return json.loads(self.expect(code, "crash", "log", *words, "--json").stdout)

    def test_one_scenario_in_every_domain(self):
        done = self.campaign("--scenario", "appending")
        (scenario,) = done["scenarios"]
        self.assertEqual(scenario["name"], "appending")
        self.assertEqual([(run["domain"], run["forced_cached"]) for run in scenario["runs"]],
                         [("cache_line", False), ("cache_line", True), ("page", False),
                          ("byte", False)])
        for document in (done, scenario, *scenario["runs"]):
            for key in SUMS:
                self.assertIn(key, document)
            self.assertEqual(document["violations"], 0)
            self.assertGreater(document["images_distinct"], 1000)
            self.assertGreaterEqual(document["images"], document["images_distinct"])
            self.assertGreater(document["states_represented_log10"],
                               document["not_tried_log10"] - 0.01)
        self.assert_union(scenario, scenario["runs"])
        self.assertEqual(done["images_distinct"], scenario["images_distinct"])
        self.assertEqual((done["mutants"], done["mutant_runs"]), (0, []))

    def assert_union(self, all_of_them, parts):
        """Images of which some are in several of the parts are counted once."""
        distinct = [part["images_distinct"] for part in parts]
        self.assertLess(all_of_them["images_distinct"], sum(distinct))
        self.assertGreaterEqual(all_of_them["images_distinct"], max(distinct))

    def test_what_two_scenarios_show_is_one_image(self):
        done = self.campaign("--break", "close_store_swapped", "--images", 20)
        self.assertGreater(len(done["scenarios"]), 20)
        self.assert_union(done, done["scenarios"])

    def test_a_seed_gives_the_run_again(self):
        def counts(seed):
            done = self.campaign("--scenario", "two_threads", "--seed", seed)
            return [(run["images"], run["images_distinct"], run["crash_points"], run["images_sum"])
                    for run in done["scenarios"][0]["runs"]]
        self.assertEqual(counts(7), counts(7))
        self.assertNotEqual(counts(7), counts(8))

    def test_a_budget_of_images(self):
        few = self.campaign("--scenario", "appending", "--images", 5)
        self.assertEqual(few["images_max_per_level"], 5)
        for name in LEVELS:
            level = few["levels"][name]
            self.assertLessEqual(level["images"], 5 * few["crash_points"])
            self.assertGreater(level["images"], few["crash_points"] / 2)
            self.assertEqual(level["crash_points_cut_short"] > 30, name != "random", level)
        self.assertEqual(sum(few["levels"][name]["images"] for name in LEVELS), few["images"])
        self.assertGreater(few["crash_points_cut_short"], 100)
        drawn = [self.campaign("--scenario", "closing", "--images", 900, "--seed", seed)
                 ["scenarios"][0]["runs"][0]["images_sum"] for seed in (1, 1, 2)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])
        many = self.campaign("--scenario", "reserving", "--images", 1000)
        levels = self.campaign("--scenario", "reserving")
        self.assertGreater(many["images_distinct"], 2 * levels["images_distinct"])

    def test_mutants_are_caught(self):
        done = self.campaign("--mutants", "--scenario", "recycling")
        self.assertGreater(done["mutants"], 3)
        self.assertEqual(done["mutants_caught"], done["mutants"])
        self.assertEqual(done["false_alarms"], 0)
        self.assertEqual(done["crash_points"], done["scenarios"][0]["crash_points"])
        for run in done["mutant_runs"]:
            self.assertTrue(run["noticed"] and run["what"], run)

    def test_a_break_that_nothing_notices(self):
        text = self.ok("crash", "log", "--scenario", "killing", "--break", "erase_flush").decode()
        self.assertIn("erase_flush is not noticed here; reviving is the scenario that must", text)
        text = self.ok("crash", "log", "--scenario", "closing", "--break", "close_store_swapped")
        self.assertIn(b"close_store_swapped is no defect: its own thread", text)

    def interrupted(self, by, seconds, *words, everybody=False, file=None):
        """What is printed, and said, of a run that a signal ends: after so many seconds, or sooner,
        as soon as that file is there."""
        with subprocess.Popen([PROGRAM, "crash", "log", *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, start_new_session=True) as running:
            end = time.monotonic() + seconds
            while time.monotonic() < end and not (file and os.path.exists(file)):
                time.sleep(0.01)
            children = self.children_of(running.pid)
            begin = time.monotonic()
            (os.killpg if everybody else os.kill)(running.pid, by)
            out, said = running.communicate(timeout=60)
            self.assertLess(time.monotonic() - begin, 4)
            self.assertEqual(running.returncode, -by)
        self.assertNotEqual(children, [])
        for child in children:
            self.assertFalse(os.path.exists(f"/proc/{child}"), "it has ended before")
        told = f"this command was told to end ({signal.strsignal(by)})"
        self.assertIn(f"cinnabar: {told}: the results are not whole\n", said.decode())
        return out.decode(), said.decode()

    @staticmethod
    def children_of(process):
        with open(f"/proc/{process}/task/{process}/children", encoding="utf-8") as file:
            return file.read().split()

    def test_interrupted(self):
        """It tells what was found until then. A terminal signals its processes too."""
        for by, everybody in ((signal.SIGINT, True), (signal.SIGTERM, False),
                              (signal.SIGHUP, False)):
            for seconds in (2, 8, 32):  # until the first run has ended
                out, _ = self.interrupted(by, seconds, "--json", everybody=everybody)
                done = json.loads(out)
                if done["runs"] > 0:
                    break
            self.assertIs(done["interrupted"], True)
            self.assertGreater(done["images"], 1000)
            self.assertEqual((done["violations"], done["false_alarms"]), (0, 0))
            self.assertEqual(done["runs"], len(done["mutant_runs"]) +
                             sum(len(scenario["runs"]) for scenario in done["scenarios"]))
            self.assertGreater(done["runs_not_ended"], 100)
        done = self.campaign("--scenario", "closing")
        self.assertIs(done["interrupted"], False)
        self.assertEqual((done["runs"], done["runs_not_ended"]), (4, 0))

    def test_interrupted_while_violations_are_explained(self):
        page = os.path.join(self.folder, "violation-1.html")
        out, said = self.interrupted(signal.SIGINT, 60, "--break", "forced_fence", "--page",
                                     self.folder, everybody=True, file=page)
        self.assertTrue(os.path.exists(page))
        self.assertFalse(os.path.exists(os.path.join(self.folder, "violation-10.html")))
        self.assertIn("\nVIOLATION: appending, cache_line: crash at second_fence: ", out)
        self.assertRegex(out, r"\nNOT WHOLE: this command was told to end \(Interrupt\); 36 of 36 "
                              r"runs had ended\nseed 1, ")
        self.assertIn("cinnabar: violations were found; the results say where\n", said)

    def test_a_line_now_and_then_where_no_terminal_is(self):
        out, said = self.interrupted(signal.SIGINT, 12, "--matrix")
        self.assertRegex(said, r"^cinnabar: \d % done, now \d+ of \d{4} runs, [\d ]+ images\n")
        self.assertRegex(out, r"\nNOT WHOLE: this command was told to end \(Interrupt\); \d+ of "
                              r"\d \d{3} runs had ended\n")

    def test_what_an_earlier_run_has_left_of_its_violations_goes(self):
        words = ("--scenario", "closing", "--page", self.folder, "--image-dir", self.folder)
        left = [os.path.join(self.folder, "violation-1" + end) for end in (".html", ".image")]
        other = os.path.join(self.folder, "violation-1.txt")
        for path in (*left, other):
            with open(path, "w", encoding="utf-8"):
                pass
        self.ok("crash", "log", *words)
        self.assertEqual([os.path.exists(path) for path in (*left, other)], [False, False, True])

    def test_a_violation_is_told_with_how_to_see_it_again(self):
        words = ("--scenario", "appending", "--break", "forced_fence")
        done = self.campaign(*words, code=VIOLATION)
        self.assertEqual(done["violations"], 1)
        (run,) = done["scenarios"][0]["runs"]
        self.assertRegex(run["wrong"], "acknowledged record 1 at LSN 64 is gone")
        self.assertEqual(done["false_alarms"], 0)
        text = self.expect(VIOLATION, "crash", "log", *words).stdout.decode()
        self.assertIn("VIOLATION: appending, cache_line: " + run["wrong"], text)
        again = "cinnabar crash log --scenario appending --break forced_fence --seed 1"
        self.assertIn(again, text)
        once_more = self.expect(VIOLATION, *again.split()[1:]).stdout.decode()
        self.assertEqual(once_more.split("VIOLATION")[1].split("images per")[0].split(";")[0],
                         text.split("VIOLATION")[1].split("images per")[0].split(";")[0])

    def violation(self, *words):
        (run,) = self.campaign(*words, code=VIOLATION)["scenarios"][0]["runs"]
        return run["violation"]

    def test_a_violation_is_explained(self):
        told = self.violation("--scenario", "appending", "--break", "forced_fence")
        store = "forced_frame_store (offset 29248)"
        self.assertEqual((told["kind"], told["where"]), ("wrong", "second_fence"))
        self.assertEqual(told["lost"], "offset 29248, forced_frame_store")
        self.assertEqual(told["survived"], "")
        self.assertEqual(told["order"],
                         f"{store} must be durable before the record there is acknowledged")
        self.assertEqual(
            told["fix"], "with a flush and a fence behind forced_frame_store nothing is found")
        text = self.expect(VIOLATION, "crash", "log", "--scenario", "appending", "--break",
                           "forced_fence").stdout.decode()
        told["tried"] = told["fix"]
        for key in "lost", "order", "tried", "replay", "again":
            self.assertIn(f"  {key}: {told[key]}\n", text)

    def test_the_smallest_image_may_fail_otherwise(self):
        words = ("--scenario", "appending", "--break", "pad_flush")
        told = self.violation(*words)
        text = self.expect(VIOLATION, "crash", "log", *words).stdout.decode()
        self.assertIn("crash at forced_fence: open: corrupt: corrupt_stale in stream 's'", text)
        self.assertTrue(told["what"].startswith("open: corrupt: corrupt_sum in stream 's'"))
        self.assertIn(f"  smallest image: {told['what']}\n", text)

    def test_nobody_else_is_explained(self):
        done = self.campaign("--scenario", "recycling", "--mutants")
        for run in done["mutant_runs"] + done["scenarios"][0]["runs"]:
            self.assertIsNone(run["violation"])

    def test_a_violation_without_an_image_says_so(self):
        words = ("--scenario", "overtaken", "--break", "slots_counted_apart")
        told = self.violation(*words)
        self.assertEqual((told["crash_point"], told["replay"], told["order"]), (0, "", ""))
        text = self.expect(VIOLATION, "crash", "log", *words, "--image-dir", self.folder)
        self.assertIn(b"  no image: none that a crash could leave is to blame", text.stdout)
        self.assertEqual(os.listdir(self.folder), [])

    def replayed(self, command):
        """The image that the command gives, which is pasted into a shell as it is."""
        command = command.replace("cinnabar", PROGRAM, 1)
        done = subprocess.run(command, shell=True, cwd=self.folder, capture_output=True,
                              timeout=60)
        self.assertEqual(done.returncode, OK, done.stderr)
        path = os.path.join(self.folder, "violation-1.image")
        self.assertLess(os.stat(path).st_blocks * 512, os.stat(path).st_size, "it has holes")
        with open(path, "rb") as file:
            image = file.read()
        os.unlink(path)
        return image

    def test_the_replay_is_the_kept_image_bit_by_bit(self):
        kept = os.path.join(self.folder, "kept")
        os.mkdir(kept)
        # By a thread; in an image of an image; in one of a killed life; with drawn images.
        for words in (("two_threads", "forcer_flush"), ("reviving", "erase_fence"),
                      ("killed_releasing", "accept_flush"),
                      ("appending", "second_fence", "--images", 20, "--seed", 5)):
            told = self.violation("--scenario", words[0], "--break", *words[1:],
                                  "--image-dir", kept)
            with open(told["image"], "rb") as file:
                self.assertEqual(self.replayed(told["replay"]), file.read(), words)

    def test_a_replay_of_something_else_is_refused(self):
        words = ("--scenario", "appending", "--break", "forced_fence")
        line = self.violation(*words)["replay"].split("'")[1]
        image = os.path.join(self.folder, "image")
        for other, changed, sentence in (
                (words, line.replace("build=", "build=1"), b"is no replay line"),
                (words, "build=12345678" + line[14:], b"is of another build of the program"),
                (words, "garbage", b"'garbage' is no replay line"),
                (words, "", b"'' is no replay line"),
                (words, re.sub("crash_point=[0-9]+", "crash_point=99999", line),
                 b"ends before the crash point"),
                (words, line[:-8] + "00000000", b"comes to another image"),
                (words + ("--seed", "2"), line, b"of another scenario, --seed, --images or --br"),
                (words + ("--images", "9"), line, b"of another scenario"),
                (words[:2], line, b"of another scenario"),
                (("--scenario", "recycling") + words[2:], line, b"of another scenario")):
            done = self.expect(USAGE, "crash", "log", *other, "--replay", changed, "--image",
                               image)
            self.assertIn(sentence, done.stderr, changed)
            self.assertFalse(os.path.exists(image), changed)
        for alone in ("--replay", line), ("--image", image):
            self.expect(USAGE, "crash", "log", *words, *alone)
        done = self.expect(2, "crash", "log", *words, "--replay", line, "--image", "/no/such/image")
        self.assertIn(b"'/no/such/image' cannot be written", done.stderr)

    def test_a_page_has_the_sites_in_it(self):
        told = self.violation("--scenario", "new_space", "--break", "ceiling_fence", "--page",
                              self.folder)
        self.assertEqual(told["page"], os.path.join(self.folder, "violation-1.html"))
        with open(told["page"], encoding="utf-8") as file:
            page = file.read()
        for words in ("<title>ceiling_store", "<title>ceiling_flush", "<title>header_a_store",
                      "ceiling_store (offset 536) must be durable before header_a_store",
                      "nothing is found", "--break ceiling_fence --seed 1 --replay"):
            self.assertIn(words, page)
        self.assertNotIn("<title>ceiling_fence", page, "which was left out")

    def test_folders_that_are_not_there(self):
        for option in "--page", "--image-dir":
            done = self.expect(2, "crash", "log", "--scenario", "closing", option, "/no/such")
            self.assertIn(b"'/no/such' is no folder; make it first", done.stderr)
            self.assertEqual(done.stdout, b"", "before anything is run")

    def test_the_table_says_what_the_json_says(self):
        path = os.path.join(self.folder, "results.json")
        text = self.ok("crash", "log", "--scenario", "closing", "--json", path).decode()
        with open(path, encoding="utf-8") as file:
            done = json.load(file)
        images, distinct = (f"{done[key]:,}".replace(",", " ")
                            for key in ("images", "images_distinct"))
        self.assertIn(f"{images} images ({distinct} distinct) at "
                      f"{done['crash_points']} crash points, "
                      "0 violations", text)

    def matrix_in_the_document(self):
        """The document; of each scenario letter, name, words; of each mutant name and letters."""
        with open(DOCUMENT, encoding="utf-8") as file:
            document = file.read()
        table = re.findall(r"^\| (\w) \| `(\w+)` \| (.*) \|$", document, re.MULTILINE)
        rows = re.findall(r"^(\w+) +([\w.]{%d})$" % len(table), document, re.MULTILINE)
        return document, table, rows

    def test_the_kill_matrix_in_the_document_is_of_these_mutants(self):
        """Each has its row; the scenario that must notice it does there, and no defect is none."""
        document, table, rows = self.matrix_in_the_document()
        told = re.findall(r"^  (\w+) +(\S.*)$", self.ok("crash", "log", "--help").decode()
                          .split("Scenarios:\n")[1].split("\n\n")[0], re.MULTILINE)
        self.assertEqual([row[1:] for row in table], told)
        letters = [row[0] for row in table]
        letter_of = {name: letter for letter, name, _ in table}
        mutants = self.campaign("--mutants")["mutant_runs"]
        self.assertEqual([name for name, _ in rows], [run["name"] for run in mutants])
        for (name, row), run in zip(rows, mutants):
            self.assertTrue(all(mark in (".", letter) for mark, letter in zip(row, letters)), name)
            if run["defect"]:
                self.assertIn(letter_of[run["scenario"]], row, name)
            else:
                self.assertEqual(set(row), {"."}, name)
        caught = sum(run["defect"] for run in mutants)
        self.assertIn(f"{caught} of {len(mutants)} are", document)

    def test_columns_of_the_kill_matrix(self):
        """Run again: those that take a second, and one that CINNABAR_SEED chooses."""
        _, table, rows = self.matrix_in_the_document()
        columns = {"recovering", "closing", "preparing_twice", "killing", "carrying", "damaging",
                   "reading_what_is_released", "on_a_weaker_medium", "failing_and_going_on"}
        if "CINNABAR_SEED" in os.environ:
            columns.add(table[int(os.environ["CINNABAR_SEED"]) % len(table)][1])
        for at, (letter, scenario, _) in enumerate(table):
            if scenario not in columns:
                continue
            runs = self.campaign("--matrix", "--scenario", scenario)["mutant_runs"]
            noticed = {run["name"] for run in runs if run["noticed"]}
            self.assertEqual(noticed, {name for name, row in rows if row[at] == letter}, scenario)
            columns.remove(scenario)
        self.assertEqual(columns, set())

    def test_the_tests_that_the_traps_name_are_there(self):
        """Suite and name, or the name behind one of the same suite; scenarios and mutants too."""
        sources = ""
        for folder, _, names in os.walk(os.path.join(ROOT, "tests")):
            for name in names:
                if name.endswith(".cpp"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        sources += file.read()
        tests = set(re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", sources, re.MULTILINE))
        _, table, rows = self.matrix_in_the_document()
        others = {name for _, name, _ in table} | {name for name, _ in rows}
        with open(TRAPS, encoding="utf-8") as file:
            document = file.read()
        suites, named, missing = {suite for suite, _ in tests}, 0, []
        for line in document.splitlines():
            suite = None
            for word in re.findall(r"`([\w.]+)`", line):
                if "." in word and not word.endswith((".cpp", ".md", ".pml")):
                    suite, test = word.split(".")
                elif re.fullmatch(r"L\d+\w*_\w+", word):
                    test = word
                else:
                    if re.match(r"\| L\d", line) and word not in suites | others:
                        missing.append(word)
                    continue
                named += 1
                if (suite, test) not in tests:
                    missing.append(f"{suite}.{test}")
        self.assertEqual(missing, [])
        self.assertGreater(named, 30)

    def test_words_that_mean_nothing(self):
        for words, sentence in (
                ([], b"a verb is missing behind 'cinnabar crash'; there are: log"),
                (["dog"], b"there is no verb 'cinnabar crash dog'; there are: log"),
                (["log", "--scenario", "nope"], b"there is no scenario 'nope'; there are: app"),
                (["log", "--images", "0"], b"--images: '0' is below 1"),
                (["log", "--images", "many"], b"--images: "),
                (["log", "--seed", "-1"], b"--seed: "),
                (["log", "--break", "nope"], b"there is no mutant 'nope'"),
                (["log", "--break", "forced_fence", "--mutants"], b"do not go together"),
                (["log", "--break", "forced_fence", "--scenario", "failing"], b"nothing to run"),
                (["log", "--what"], b"--what")):
            done = self.expect(USAGE, "crash", *words)
            self.assertIn(sentence, done.stderr, words)

    def test_a_results_file_that_cannot_be_written(self):
        done = self.expect(2, "crash", "log", "--scenario", "closing", "--json", "/no/such/file")
        self.assertIn(b"cannot write the results to '/no/such/file'", done.stderr)
        self.assertEqual(done.stdout, b"", "before anything is run")

    def test_the_program_that_does_it_is_missing(self):
        alone = os.path.join(self.folder, "cinnabar")
        shutil.copy(PROGRAM, alone)
        done = subprocess.run([alone, "crash", "log"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(b"cinnabar-crash' cannot be started", done.stderr)

    def test_the_shipped_program_has_nothing_of_it(self):
        def names(program):
            return subprocess.run(["nm", "-C", program], capture_output=True, timeout=60).stdout
        self.assertIn(b"cinnabar::sim::CrashMedium", names(PROGRAM + "-crash"))
        self.assertNotIn(b"cinnabar::sim::", names(PROGRAM))


if __name__ == "__main__":
    unittest.main()

"""`cinnabar crash`: its scenarios and mutants, what it prints, and what it says of bad words."""
import json
import os
import re
import shutil
import subprocess
import unittest

from program import OK, PROGRAM, USAGE, ProgramTest

VIOLATION = 8
DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../engine/doc/CRASH.md")
SUMS = ("images", "images_distinct", "images_repeated", "states_represented_log10",
        "not_tried_log10", "images_per_s", "crash_points", "crash_points_cut_short", "appends",
        "violations")


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
        self.assertEqual(sum(run["images_distinct"] for run in scenario["runs"]),
                         done["images_distinct"])
        self.assertEqual((done["mutants"], done["mutant_runs"]), (0, []))

    def test_a_seed_gives_the_run_again(self):
        def counts(seed):
            done = self.campaign("--scenario", "two_threads", "--seed", seed)
            return [(run["images"], run["images_distinct"], run["crash_points"], run["images_sum"])
                    for run in done["scenarios"][0]["runs"]]
        self.assertEqual(counts(7), counts(7))
        self.assertNotEqual(counts(7), counts(8))

    def test_a_budget_of_images(self):
        few = self.campaign("--scenario", "appending", "--images", 5)
        self.assertLessEqual(few["images"], 5 * few["crash_points"])
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

    def test_the_kill_matrix_in_the_document_is_of_these_mutants(self):
        """Each has its row; the scenario that must notice it does there, and no defect is none."""
        with open(DOCUMENT, encoding="utf-8") as file:
            document = file.read()
        told = re.findall(r"^  (\w+) +(\S.*)$", self.ok("crash", "log", "--help").decode()
                          .split("Scenarios:\n")[1].split("\n\n")[0], re.MULTILINE)
        table = re.findall(r"^\| (\w) \| `(\w+)` \| (.*) \|$", document, re.MULTILINE)
        self.assertEqual([row[1:] for row in table], told)
        letters = [row[0] for row in table]
        letter_of = {name: letter for letter, name, _ in table}
        rows = re.findall(r"^(\w+) +([\w.]{%d})$" % len(table), document, re.MULTILINE)
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

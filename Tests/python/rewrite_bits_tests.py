"""What `make bits` does with lines of kernels that the machine lacks, and with useless logs."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import rewrite_bits  # noqa: E402

COMMENTS = "# What the columns are.\n# A second line.\n"
TABLE = COMMENTS + """mlp avx512 widen 32-true a1 b1 c1
mlp avx512 widen bf16-mixed a2 b2 c2
mlp avx512 native bf16-mixed a3 b3 c3
mlp avx2 widen 32-true a1 b1 c4
mlp avx2 widen bf16-mixed a2 b2 c5
mlp ref openblas-0.3.21 64-true a6 b6 c6
mlp ref widen 32-true a7 b7 c7
mlp ref widen bf16-mixed a8 b8 c8
cnn avx512 widen 32-true a9 b9 c9
cnn avx2 widen 32-true d1 e1 f1
cnn ref widen 32-true d2 e2 f2
"""


def log(*rows, without=(), **changes):
    """What a machine with these rows prints; `changes`: sums by name, joined by underscores."""
    lines = ["Test run started."]
    for line in TABLE.splitlines():
        words = line.split()
        name = "_".join(words[:4])
        if (
            not line.startswith("#")
            and words[1] in rows
            and words[:4] not in [list(w) for w in without]
        ):
            lines.append(
                "BITS "
                + " ".join(words[:4])
                + " "
                + changes.get(name.replace("-", "_"), " ".join(words[4:]))
            )
    return "\n".join(lines + ["Test run passed."])


class RewriteBitsTests(unittest.TestCase):
    def line(self, text, start):
        found = [line for line in text.splitlines() if line.startswith(start + " ")]
        self.assertEqual(len(found), 1, f"{start} in\n{text}")
        return found[0][len(start) + 1 :]

    def test_unchanged_bits_leave_the_table_as_it_is(self):
        for rows in [("avx512", "avx2", "ref"), ("avx2", "ref"), ("ref",)]:
            self.assertEqual(rewrite_bits.rewritten(TABLE, log(*rows)), TABLE, rows)

    def test_changed_bits_mark_what_the_machine_lacks(self):
        text = rewrite_bits.rewritten(TABLE, log("avx2", "ref", mlp_avx2_widen_bf16_mixed="x y z"))
        self.assertEqual(self.line(text, "mlp avx2 widen bf16-mixed"), "x y z")
        self.assertEqual(self.line(text, "mlp avx512 widen bf16-mixed"), "to be recorded")
        self.assertEqual(self.line(text, "mlp avx512 native bf16-mixed"), "to be recorded")
        # The same row here, another precision, and another model keep what they have.
        self.assertEqual(self.line(text, "mlp ref widen bf16-mixed"), "a8 b8 c8")
        self.assertEqual(self.line(text, "mlp avx512 widen 32-true"), "a1 b1 c1")
        self.assertEqual(self.line(text, "cnn avx512 widen 32-true"), "a9 b9 c9")
        self.assertTrue(text.startswith(COMMENTS))

    def test_a_machine_with_the_kernels_fills_marks_in(self):
        marked = rewrite_bits.rewritten(TABLE, log("avx2", "ref", mlp_avx2_widen_32_true="x y z"))
        self.assertEqual(self.line(marked, "mlp avx512 widen 32-true"), "to be recorded")
        # A second run of the first machine keeps the mark; one with all rows records.
        again = rewrite_bits.rewritten(marked, log("avx2", "ref", mlp_avx2_widen_32_true="x y z"))
        self.assertEqual(again, marked)
        filled = rewrite_bits.rewritten(
            marked,
            log(
                "avx512",
                "avx2",
                "ref",
                mlp_avx2_widen_32_true="x y z",
                mlp_avx512_widen_32_true="x y u",
            ),
        )
        self.assertEqual(self.line(filled, "mlp avx512 widen 32-true"), "x y u")
        self.assertNotIn("to be recorded", filled)

    def test_another_openblas_has_a_line_of_its_own(self):
        other = log("avx512", "avx2", "ref").replace("openblas-0.3.21", "openblas-0.3.26")
        text = rewrite_bits.rewritten(TABLE, other)
        self.assertEqual(self.line(text, "mlp ref openblas-0.3.21 64-true"), "a6 b6 c6")
        self.assertEqual(self.line(text, "mlp ref openblas-0.3.26 64-true"), "a6 b6 c6")

    def test_new_cases_are_added_and_marked_for_other_machines(self):
        new = (
            log("avx2", "ref")
            + "\nBITS gpt avx2 widen bf16-mixed g h i\nBITS gpt ref widen bf16-mixed j k l\n"
        )
        text = rewrite_bits.rewritten(TABLE, new)
        self.assertEqual(self.line(text, "gpt avx2 widen bf16-mixed"), "g h i")
        self.assertEqual(self.line(text, "gpt avx512 widen bf16-mixed"), "to be recorded")
        self.assertEqual(self.line(text, "gpt avx512 native bf16-mixed"), "to be recorded")

    def test_fewer_runs_are_refused_and_dropped_only_where_asked_for(self):
        no_cnn = "\n".join(
            line for line in log("avx512", "avx2", "ref").splitlines() if "cnn" not in line
        )
        one = log("avx2", "ref", without=[("cnn", "ref", "widen", "32-true")])
        for short in [no_cnn, one]:
            with self.assertRaisesRegex(ValueError, "cnn ref widen 32-true"):
                rewrite_bits.rewritten(TABLE, short)
        self.assertNotIn("cnn", rewrite_bits.rewritten(TABLE, no_cnn, drop=True))

    def test_a_log_without_bits_or_with_a_torn_line_is_refused(self):
        for bad in ["", "error: fatalError\n", "BITS mlp avx512"]:
            with self.assertRaises(ValueError):
                rewrite_bits.rewritten(TABLE, bad)

    def test_the_command_keeps_the_table_where_it_refuses(self):
        with tempfile.TemporaryDirectory() as folder:
            table, printed = os.path.join(folder, "table.txt"), os.path.join(folder, "log")

            def run(text):
                with open(printed, "w") as file:
                    file.write(text)
                command = [sys.executable, rewrite_bits.__file__, table, printed]
                return subprocess.run(command, capture_output=True, text=True)

            def content():
                with open(table) as file:
                    return file.read()

            with open(table, "w") as file:
                file.write(TABLE)
            refused = run("crashed\n")
            self.assertEqual((refused.returncode, content()), (1, TABLE))
            self.assertIn("stays as it is", refused.stderr)
            done = run(log("ref", mlp_ref_widen_32_true="x y z"))
            self.assertEqual(done.returncode, 0)
            self.assertIn("2 to be recorded", done.stdout)
            self.assertIn("mlp avx512 widen 32-true to be recorded\n", content())
            self.assertEqual(len(os.listdir(folder)), 2)


if __name__ == "__main__":
    unittest.main()

"""What is made of stored and measured counts."""

import tomllib
import unittest

from load import load

instructions = load("instructions")


class Compared(unittest.TestCase):
    def test_ten_percent_more_is_borne_and_more_is_an_error(self):
        lines, failed = instructions.compare({"a": 1000}, {"a": 1100})
        self.assertFalse(failed)
        self.assertEqual(len(lines), 2, lines)
        lines, failed = instructions.compare({"a": 1000, "b": 1000}, {"a": 1101, "b": 1000})
        self.assertTrue(failed)
        self.assertIn("+10.1 %", lines[1])
        self.assertTrue(lines[-1].startswith("a: grown"), lines)

    def test_a_fall_is_told_and_no_error(self):
        lines, failed = instructions.compare({"a": 1000}, {"a": 899})
        self.assertFalse(failed)
        self.assertTrue(lines[-1].startswith("a: fallen"), lines)
        self.assertIn("instructions-update", lines[-1])
        lines, _ = instructions.compare({"a": 1000}, {"a": 900})
        self.assertEqual(len(lines), 2, lines)

    def test_a_path_that_is_missing_is_an_error(self):
        lines, failed = instructions.compare({"a": 1000, "b": 5}, {"a": 1000})
        self.assertTrue(failed)
        self.assertTrue(lines[-1].startswith("b: stored, but not measured"), lines)

    def test_a_path_that_is_new_is_an_error(self):
        lines, failed = instructions.compare({"a": 1000}, {"a": 1000, "b": 5})
        self.assertTrue(failed)
        self.assertTrue(lines[-1].startswith("b: not stored yet"), lines)

    def test_what_is_written_is_read(self):
        measured = {"proto/a": 12, "dtls/b": 13}
        self.assertEqual(tomllib.loads(instructions.to_toml(measured)), measured)

    def test_a_passage_is_a_share_of_the_total(self):
        self.assertEqual(instructions.total("events: Ir\nsummary: 40000\n\ntotals: 40000\n", "a"), 200)

    def test_a_function_that_was_not_entered_is_an_error(self):
        for text in ["events: Ir\nsummary: 0\n", "events: Ir\n"]:
            with self.assertRaises(SystemExit):
                instructions.total(text, "a")


if __name__ == "__main__":
    unittest.main()

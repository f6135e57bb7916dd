"""What is made of the results of runs: tables, plots and reasons. The numbers are made up."""

import json
import os
import tempfile
import unittest
import xml.etree.ElementTree as xml

from load import load

bench = load("bench")

MACHINE = {"cpu": "Some CPU", "cores": 2, "kernel": "6.1", "memory": "1 kB"}


def result(cpu, **members):
    return {
        "workload": "notify-non",
        "clients": 10,
        "sent": 7,
        "lost": 0,
        "rate": 20.0,
        "cpu_us": cpu,
        "own_cpu_us": 0.5,
        "latency_us": {"p50": 90.0, "p99": 210.0},
        "rss_per_further_client_bytes": 1400.0,
        "registration": {"cpu_us": 39.0},
        "machine": MACHINE,
        "date": "2026-01-02T03:04:05Z",
        "version": "0.1.0",
        **members,
    }


def results():
    return {
        "non": result(6.0),
        "non loop": result(3.0),
        "non californium": {"error": "there is no Java"},
        "con": result(10.5),
        "con loop": result(5.0),
        "registration": result(41.0),
        "read": result(None),
        "memory": result(None),
        "growth 100": result(10.0),
        "growth 1000": result(12.0),
        "growth 100000": result(11.0),
        "translators": {"1": {"native": 1.0, "wasm": 1.5, "script": 9.0}},
    }


def row(lines, what):
    return next(line for line in lines if line.startswith(f"| {what} |"))


class Profiled(unittest.TestCase):
    REPORT = """
# Overhead  Shared Object       Symbol
    40.00%  [kernel.kallsyms]   [k] finish_task_switch.isra.0
    25.25%  [JIT] tid 13221     [.] 0x00007fb10aaa8716
    10.00%  tidegate            [.] wasmtime::runtime::func::invoke
     5.50%  tidegate            [.] tidegate_proto::coap::message::Message::parse
     4.50%  tidegate            [.] <Q as hashbrown::Equivalent<K>>::equivalent
     0.01%  libc.so.6           [.] __memmove_avx512_unaligned_erms
"""

    def test_shares_are_told_by_area(self):
        areas = bench.read_profile(self.REPORT)
        self.assertEqual(areas["kernel: sockets, wake-ups, memory"], 40.0)
        self.assertEqual(areas["the translator's own code, WebAssembly"], 25.2)
        self.assertEqual(areas["into the translator and back: wasmtime, limits, checks"], 10.0)
        self.assertEqual(areas["CoAP and LwM2M"], 5.5)
        self.assertEqual(areas["all else: collections, tokio, channels"], 4.5)
        self.assertNotIn("copying and comparing", areas)
        lines = bench.profile_table({"profile": {"areas": areas}})
        self.assertEqual(lines[2], "| kernel: sockets, wake-ups, memory | 40.0 % |")

    def test_without_perf_the_reason_is_told(self):
        lines = bench.profile_table({"profile": {"error": "there is no perf"}})
        self.assertEqual(lines, ["Not known, profile: there is no perf."])


class Written(unittest.TestCase):
    def test_what_is_to_be_reached_stands_beside_what_was_measured(self):
        lines = bench.table(bench.rows(results()))
        self.assertEqual(row(lines, "CPU per NON notification"), "| CPU per NON notification | 98 us | 7 us | 6 us | yes |")
        con = row(lines, "CPU per CON notification")
        self.assertEqual(con, "| CPU per CON notification | 109 us | 10 us | 10.50 us | **no** |")
        memory = row(lines, "memory per registered and observed endpoint")
        self.assertTrue(memory.endswith("| 34.00 KB | 1.50 KB | 1.40 KB | yes |"), memory)
        self.assertIn("| 647 us | 200 us | 210 us | **no** |", row(lines, "read, MQTT to MQTT, p99"))

    def test_ratios_are_of_one_run(self):
        lines = bench.table(bench.rows(results()))
        self.assertIn("| 2.50x | 2x | yes |", row(lines, "NON against the bare loop, as fast as it goes"))
        self.assertIn("| 2x | 2.10x | **no** |", row(lines, "CON against the bare loop, as fast as it goes"))
        self.assertIn("| 1.50x | yes |", row(lines, "translator in wasm against native, 1 sample"))
        self.assertIn("| 1.30x | 1.20x | yes |", row(lines, "growth of CPU with the endpoints"))

    def test_what_was_not_measured_says_why(self):
        lines = bench.table(bench.rows({**results(), "con dtls": {"error": "no keys"}}))
        self.assertIn("| not measured: con dtls: no keys | - |", row(lines, "CPU per CON notification over DTLS PSK-CCM8"))
        self.assertIn("it has not been measured", row(lines, "the same over DTLS"))
        self.assertIn("there is no Java", bench.peers(results())[-1])

    def test_the_page_names_machine_and_date_and_has_the_notes(self):
        text = bench.page(results(), [], "## Not reached\n\nSo it is.\n")
        for part in ["Some CPU, 2 cores", "2026-01-02", "Linux 6.1", "## Not reached\n\nSo it is.\n"]:
            self.assertIn(part, text)

    def test_the_page_refuses_to_be_empty(self):
        with self.assertRaises(SystemExit):
            bench.page({"non": {"error": "no"}}, [], "")

    def test_plots_are_drawings(self):
        drawings = bench.plots(results())
        self.assertEqual(sorted(drawings), ["cpu.svg", "growth.svg", "memory.svg"])
        for text in drawings.values():
            self.assertTrue(xml.fromstring(text).tag.endswith("svg"))
        self.assertIn("not measured", drawings["cpu.svg"])

    def test_the_page_is_about_the_latest_run_and_those_of_other_machines_follow(self):
        earlier = results()
        for result in earlier.values():
            if "machine" in result:
                result["machine"] = {**result["machine"], "cpu": "Other (R) CPU"}
                result["date"] = "2025-12-31T00:00:00Z"
        with tempfile.TemporaryDirectory() as folder:
            bench.FOLDER, bench.PAGE = os.path.join(folder, "benchmarks"), os.path.join(folder, "benchmarks.md")
            bench.keep(results())
            bench.keep(earlier)
            bench.render()
            self.assertEqual(sorted(os.listdir(bench.FOLDER)), ["cpu.svg", "growth.svg", "memory.svg", "results"])
            kept = os.path.join(bench.FOLDER, "results")
            self.assertEqual(sorted(os.listdir(kept)), ["other-r-cpu.json", "some-cpu.json"])
            with open(os.path.join(kept, "some-cpu.json"), encoding="utf-8") as file:
                self.assertEqual(json.load(file), results())
            with open(bench.PAGE, encoding="utf-8") as file:
                latest, other = file.read().split("## On another machine")
            self.assertIn("Some CPU", latest)
            self.assertNotIn("Other (R) CPU", latest)
            self.assertIn("2025-12-31", other)


class Measured(unittest.TestCase):
    def test_the_middle_one_of_the_rounds_is_told(self):
        self.assertEqual(bench.middle([result(3.0), result(1.0), result(2.0)])["cpu_us"], 2.0)

    def test_a_run_that_fails_makes_its_row_fail(self):
        self.assertEqual(bench.middle([result(3.0), {"error": "no"}]), {"error": "no"})

    def test_a_peer_that_cannot_be_started_is_no_run(self):
        runs = bench.plan(True, {"loop": "no compiler"})
        self.assertIn(("non loop", True, "no compiler"), runs)
        self.assertEqual(bench.measure([("non loop", True, "no compiler")], 2, ""), {"non loop": {"error": "no compiler"}})

    def test_the_table_of_the_translators_is_read(self):
        text = "samples     native us      wasm us    script us   wasm/native  script/wasm\n"
        text += "      1          1.00         1.80        20.50          1.80        11.39\n"
        self.assertEqual(bench.read_translators(text), {"1": {"native": 1.0, "wasm": 1.8, "script": 20.5}})


if __name__ == "__main__":
    unittest.main()

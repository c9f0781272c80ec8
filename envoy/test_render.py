"""Tests of render.py."""

import re
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import render  # noqa: E402

TEMPLATE = (Path(__file__).parent / "envoy.yaml").read_text(encoding="utf-8")

SMALL = """\
a: { address: api.example.com, port_value: 443 }   # mark: upstream, demo 127.0.0.1:9001
b:                                                 # mark: tls, demo off
  c: 1

  d: { filename: /etc/ca }                         # mark: ca
e: { filename: x.wasm }  # mark: wasm
f: 2  # mark: whole
"""


class Render(unittest.TestCase):
    def test_without_values_only_the_marks_go(self):
        self.assertEqual(render.render(SMALL), re.sub(r" +# mark.*", "", SMALL))

    def test_the_demo_takes_the_values_behind_demo(self):
        self.assertEqual(
            render.render(SMALL, demo=True),
            "a: { address: 127.0.0.1, port_value: 9001 }\ne: { filename: x.wasm }\nf: 2\n",
        )

    def test_a_value_beats_the_demo_s(self):
        text = render.render(SMALL, demo=True, values={"upstream": "10.0.0.1:7", "tls": "b: {}"})
        self.assertIn("address: 10.0.0.1, port_value: 7 ", text)
        self.assertIn("b: {}\ne:", text)

    def test_a_port_alone_leaves_the_address(self):
        self.assertIn("api.example.com, port_value: 8 ", render.render(SMALL, values={"upstream": "8"}))

    def test_a_file_s_name_and_a_whole_line(self):
        text = render.render(SMALL, values={"wasm": "some folder/a b.wasm", "whole": "g: [3]", "ca": "ca.pem"})
        self.assertIn("e: { filename: some folder/a b.wasm }\n", text)
        self.assertIn("  d: { filename: ca.pem }\n", text)
        self.assertTrue(text.endswith("\ng: [3]\n"), text)

    def test_a_block_comes_from_a_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"x":\n 1}\n')
            file.flush()
            self.assertIn('b: {"x":  1}\ne:', render.render(SMALL, values={"tls": "@" + file.name}))

    def test_what_does_not_fit_is_refused(self):
        for values in [{"upstreem": "1"}, {"upstream": "localhost"}, {"f": "x"}, {"whole": "3:x"}, {"wasm": ""}, {"upstream": "@x"}]:
            with self.assertRaises(render.Misfit, msg=str(values)):
                render.render(SMALL, values=values)

    def test_the_reference_has_every_mark_that_the_demo_and_the_tests_use(self):
        marks = re.findall(r"# mark: (\w+)", TEMPLATE)
        self.assertEqual(
            sorted(set(marks)),
            ["admin_port", "anthropic", "anthropic_http", "anthropic_tls", "audit_log", "ca", "gateway", "listener_port", "openai", "openai_http", "openai_tls", "status_port", "wasm"],
        )

    def test_the_demo_talks_to_this_machine_only(self):
        text = render.render(TEMPLATE, demo=True)
        in_use = re.sub(r"(?m)^\s*#.*$", "", text)  # The tracing block is a comment until somebody has a collector.
        addresses = re.findall(r"[{ ]address: ([^\s{},]+),", in_use)
        self.assertEqual(set(addresses), {"127.0.0.1"})
        self.assertNotIn("mark:", text.replace("`# mark: …`", ""))


if __name__ == "__main__":
    unittest.main()

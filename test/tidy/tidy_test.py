#!/usr/bin/env python3
"""That tidy can fail: each rule on a sample that breaks it and on one that does not."""
import importlib.machinery
import importlib.util
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import citations
import limits_page
import tidy
import type_names

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def found(path, text):
    return [what for _, what in tidy.check_file(pathlib.Path(path), text)]


def load_codes():
    loader = importlib.machinery.SourceFileLoader("codes", str(ROOT / "script/codes"))
    spec = importlib.util.spec_from_loader("codes", loader)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


class TypeNames(unittest.TestCase):
    def test_each_form_of_a_definition_is_read(self):
        for form in ("class A {", "struct A final {", "enum A {", "enum class A : int {", "union A {",
                     "template <typename T> class A {", "struct alignas(8) A {", "struct [[nodiscard]] A {"):
            self.assertEqual([name for _, name in type_names.defined("src/a/a.h", form + "\n};\n")], ["A"], form)

    def test_two_types_of_one_name_are_found_and_nested_ones_and_frames_are_not(self):
        again = [what for *_, what in type_names.check_type_names({
            "src/a/a.h": "struct Once {\n  struct Part {};\n};\nclass Twice final : public Once {\n};\n",
            "src/b/b.cc": "namespace {\nenum class Twice : int { kNone };\n}\nusing Once = int;\nstruct Part;\n",
            "src/b/b.h": "using Once = int;\n", "src/link/frame.h": "struct Once {\n};\n"})]
        self.assertEqual(again, ["Twice is the name of a type in src/a/a.h:4, too",
                                 "Once is the name of a type in src/a/a.h:1, too"])


class Layering(unittest.TestCase):
    BAD = [
        ("src/xmpp/a.cc", '#include "s2s/inbound.h"', "does not name"),
        ("src/s2s/a.h", '#include "link/session.h"', "does not name"),
        ("src/policy/a.h", '#include "route/table.h"', "does not name"),
        ("src/base/a.cc", '#include "xmpp/jid.h"', "does not name"),
        ("src/gate/a_test.cc", '#include "net/tcp.h"', "does not name"),
        ("src/gate/a.cc", '#include "jid.h"', "not in a layer"),
        ("src/odd/a.cc", "#include <string>", "no layer"),
        ("src/s2s/a.cc", "#include <thread>", "not on the list"),
        ("src/s2s/a.cc", "#include <random>", "not on the list"),
        ("src/gate/a.cc", "#include <fstream>", "not on the list"),
        ("src/gate/a.cc", "#include <sys/socket.h>", "not on the list"),
        ("src/gate/a.cc", "#include <unistd.h>", "not on the list"),
        ("src/gate/a.cc", "#include <boost/asio.hpp>", "not on the list"),
        ("src/gate/a.cc", "#include <boost/asio/ip/tcp.hpp>", "not on the list"),
        ("src/base/a.cc", "#include <openssl/ssl.h>", "not on the list"),
        ("src/base/a.cc", "#include <openssl/rand.h>", "not on the list"),
        ("src/s2s/a.cc", "#include <openssl/evp.h>", "not on the list"),
        ("src/s2s/a.cc", "#include <expat.h>", "not on the list"),
        ("src/s2s/a_test.cc", "#include <thread>", "not on the list"),
        ("src/s2s/a.cc", '#include "s2s/dialogue.h"', "for tests"),
        ("src/s2s/a.cc", "#include <gtest/gtest.h>", "not on the list"),
        ("src/s2s/a.cc", "auto t = std::chrono::steady_clock::now();", "clock"),
        ("src/s2s/a.cc", "std::random_device d;", "random"),
        ("src/s2s/a.cc", "  getrandom(p, n, 0);", "random"),
    ]
    GOOD = [
        ("src/xmpp/a.cc", '#include "base/bytes.h"'),
        ("src/xmpp/a.cc", '#include "xmpp/jid.h"'),
        ("src/gate/a.h", '#include "policy/rules.h"'),
        ("src/gate/a.cc", "#include <boost/json.hpp>"),
        ("src/xmpp/a.cc", "#include <unicode/uchar.h>"),
        ("src/s2s/a_test.cc", "#include <gtest/gtest.h>"),
        ("src/link/session_fixture.h", "#include <gtest/gtest.h>"),
        ("src/link/a_test.cc", '#include "link/session_fixture.h"'),
        ("src/net/pch.h", '#include "../../cmake/pch.h"'),
        ("src/net/a.cc", "#include <sys/socket.h>"),
        ("src/net/a.cc", "auto t = std::chrono::steady_clock::now();"),
        ("src/base/a.h", "// steady_clock::now is read by the driver, getrandom(2) too"),
    ]

    def test_what_goes_against_the_layers_is_found(self):
        for path, text, what in self.BAD:
            with self.subTest(path=path, text=text):
                self.assertTrue(any(what in f for f in found(path, text)), found(path, text))

    def test_what_goes_with_the_layers_is_not(self):
        for path, text in self.GOOD:
            with self.subTest(path=path, text=text):
                self.assertEqual(found(path, text), [])


class Hashes(unittest.TestCase):
    BAD = [
        "std::unordered_map<std::string, int> a;",
        "std::unordered_map<std::string_view, std::pair<int, int>> a;",
        "std::unordered_map<std::string,\n                   std::vector<int>> a;",
        "std::unordered_set<std::string> a;",
        "std::unordered_multimap<xmpp::Jid, int> a;",
        "std::unordered_set<const std::string> a;",
        "std::unordered_map<dns::Ip, std::size_t> a;",
        "std::unordered_map<std::array<char, 16>, std::size_t> a;",
        "std::size_t h = std::hash<std::string>{}(text);",
        "std::size_t h = std::hash<std::string_view>()(text);",
    ]
    GOOD = [
        "std::unordered_map<std::string, int, KeyedHash> a;",
        "std::unordered_set<std::string, KeyedHash, std::equal_to<>> a;",
        "std::unordered_map<xmpp::Pair, std::uint32_t> a;",
        "std::unordered_map<xmpp::Domain, std::vector<xmpp::Domain>> a;",
        "std::unordered_set<gate::ConnId, KeyedHash> a;",
        "std::unordered_map<std::uint64_t, std::shared_ptr<Client>> a;",
        "std::unordered_map<const Stream*, int> a;",
        "using Map = std::unordered_map<Key, T>;",
        "index_.insert(std::hash<Key>{}(key), *last_);",
        "struct std::hash<sallyport::xmpp::Domain> {};",
        "// std::unordered_map<std::string, int> was slower",
        "#include <unordered_map>",
    ]

    def test_a_table_whose_keys_a_peer_may_choose_has_a_hash_with_a_key(self):
        for text in self.BAD:
            with self.subTest(text=text):
                self.assertEqual([f for f in found("src/net/a.h", text) if "without a key" in f][1:], [])
                self.assertTrue(any("without a key" in f for f in found("src/net/a.h", text)))

    def test_others_have_any(self):
        for text in self.GOOD:
            with self.subTest(text=text):
                self.assertEqual(found("src/net/a.h", text), [])
        self.assertEqual(found("src/net/a_test.cc", self.BAD[0]), [])
        self.assertEqual(found("bench/load/a.h", self.BAD[0]), [])


class Lengths(unittest.TestCase):
    def test_a_file_has_so_many_lines_and_no_more(self):
        self.assertEqual(found("src/s2s/a.h", "//\n" * tidy.LINES_MAX), [])
        self.assertEqual(len(found("src/s2s/a.h", "//\n" * (tidy.LINES_MAX + 1))), 1)

    def test_a_function_has_so_many_lines_and_no_more(self):
        def function(lines):
            return "namespace a {\nvoid f(int a,\n       int b) {\n" + "  g();\n" * (lines - 2) + "}\n}  // namespace a\n"
        self.assertEqual(found("src/s2s/a.cc", function(tidy.FUNCTION_LINES_MAX)), [])
        self.assertEqual(len(found("src/s2s/a.cc", function(tidy.FUNCTION_LINES_MAX + 1))), 1)

    def test_a_class_is_not_a_function(self):
        text = "class A {\n" + "  int f();\n" * 100 + "};\n"
        self.assertEqual(found("src/s2s/a.cc", text), [])


class Members(unittest.TestCase):
    def found(self, text, path="src/gate/a.h"):
        return [what for _, what in tidy.check_file(pathlib.Path(path), text)
                if "data members" in what]

    def test_a_class_of_a_dozen_members_passes_and_one_of_thirteen_does_not(self):
        for count, expected in ((12, 0), (13, 1)):
            body = "".join(f"  std::map<int, Pair> m{i}_{{1, 2}};\n" for i in range(count))
            text = "class A {\n public:\n  A() : x_(1) {}\n  int f(int a = 1) const;\n\n private:\n" + body + "};\n"
            self.assertEqual(len(self.found(text)), expected, count)

    def test_what_is_not_a_member_is_not_counted(self):
        text = "struct A {\n" + "".join(f"  {line}\n" for line in (
            "using T = int;", "static constexpr int kA = 1;", "enum class E { a, b };", "struct B {\n    int c;\n  };",
            "void f(std::function<void(int)> g);", "friend class C;", "A& operator=(A&&) = default;",
            "bool empty() const { return x == 0; }") * 4) + "};\n"
        self.assertEqual(self.found(text), [])

    def test_the_limit_holds_for_tests_too_and_not_for_other_layers(self):
        text = "struct A {\n" + "".join(f"  int m{i};\n" for i in range(20)) + "};\n"
        for path in ("src/gate/a.h", "src/gate/a_test.cc", "src/gate/a_fixture.h", "src/s2s/a_dialogue.h"):
            self.assertEqual(len(self.found(text, path)), 1, path)
        self.assertEqual(self.found(text, "src/net/a.h"), [])


class Words(unittest.TestCase):
    def test_promises_and_empty_names_are_found(self):
        for path, text in [("src/s2s/a.cc", "// TO" "DO: later"), ("docs/a.md", "FIX" "ME"),
                           ("src/s2s/a.h", "class StreamManager {"), ("src/s2s/a.h", "struct XmlHelper;"),
                           ("src/s2s/a.h", "enum class StringUtil {")]:
            with self.subTest(text=text):
                self.assertEqual(len(found(path, text)), 1)

    def test_other_words_are_not(self):
        for path, text in [("src/s2s/a.cc", "// method"), ("src/s2s/a.h", "class Utility {"), ("docs/a.md", "a Manager")]:
            with self.subTest(text=text):
                self.assertEqual(found(path, text), [])


class Codes(unittest.TestCase):
    ROWS = ('// --- link (RFC 1)\n'
            'SALLYPORT_CODE(kA, "link.a", "", "reset",\n               "It \\"broke\\".", "Mend "\n   "it | now.")\n')

    def test_the_page_has_each_row(self):
        page = load_codes().page(self.ROWS)
        self.assertIn('## link\n', page)
        self.assertIn('| `link.a` | It "broke". | Mend it \\| now. | – | reset |', page)

    def test_a_row_that_cannot_be_read_is_an_error(self):
        with self.assertRaises(ValueError):
            load_codes().page('// --- x\nSALLYPORT_CODE(kA, "link.a")\n')


class WholeTree(unittest.TestCase):
    def run_on(self, root):
        return subprocess.run([sys.executable, str(HERE / "tidy.py"), str(root)], stdout=subprocess.PIPE,
                              universal_newlines=True, check=False)

    def test_a_bad_file_and_a_stale_page_fail_the_run(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name in ("script/codes", "src/base/codes.inc", "docs/codes.md"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, root / name)
            self.assertEqual(self.run_on(root).returncode, 0)

            bad = root / "src/base/bad.cc"
            bad.write_text("\n#include <thread>\n", encoding="utf-8")
            done = self.run_on(root)
            self.assertEqual(done.returncode, 1)
            self.assertIn("src/base/bad.cc:2: <thread>", done.stdout)
            bad.unlink()

            with (root / "docs/codes.md").open("a", encoding="utf-8") as page:
                page.write("more\n")
            done = self.run_on(root)
            self.assertEqual(done.returncode, 1)
            self.assertIn("docs/codes.md", done.stdout)

    @unittest.skipUnless(shutil.which("clang-format"), "without clang-format nothing is compared")
    def test_a_file_laid_out_otherwise_is_found_at_its_first_line(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            shutil.copy(ROOT / ".clang-format", root)
            (root / "good.cc").write_text("int a = 1;\n", encoding="utf-8")
            (root / "bad.cc").write_text("int a = 1;\nint b=2;\nint  c;\n", encoding="utf-8")
            found = tidy.check_format(root, [pathlib.Path("good.cc"), pathlib.Path("bad.cc")])
            version = subprocess.run(["clang-format", "--version"], stdout=subprocess.PIPE, universal_newlines=True,
                                     check=True).stdout
            self.assertEqual([row[:2] for row in found], [("bad.cc", 2)] if tidy.FORMATTER in version else [])


class LimitsPage(unittest.TestCase):
    VALUES = {"kRows": 50000, "kBytes": 4 << 20, "kTime": 20, "kShort": 0.25}

    def test_a_constant_is_read_with_its_units_and_the_constants_above_it(self):
        header = ("inline constexpr std::size_t kA = 2 * 1'024;\ninline constexpr auto kB = 24h * 7;\n"
                  "inline constexpr auto kC = 250ms;\ninline constexpr std::size_t kD = 2 * kA + 16;\n")
        self.assertEqual(limits_page.constants(header), {"kA": 2048, "kB": 604800, "kC": 0.25, "kD": 4112})

    def test_a_row_shows_the_value_of_its_constant(self):
        good = ["| `rows` | 50,000 | `kRows` | 1 to 9 |", "| `kBytes` | 4 MiB | What |", "| `kTime` | 20 s | What |",
                "| `kShort` | 250 ms | What |", "Text that names `kTime`."]
        bad = ["| `rows` | 5,000 | `kRows` | 1 to 9 |", "| `kBytes` | 4 KiB | What |", "| `kTime` | 20 min | What |",
               "| `kTime` | What |", "Text that names `kTimes`.", "| `kAbsent` | 1 | What |"]
        for row in good:
            self.assertEqual(limits_page.check_page(row, self.VALUES), [], row)
        for row in bad:
            self.assertEqual(len(limits_page.check_page(row, self.VALUES)), 1, row)

    def test_the_page_of_this_tree_names_every_key(self):
        self.assertEqual(limits_page.check_limits(ROOT), [])
        self.assertGreater(len(limits_page.KEY.findall((ROOT / "src/config/limits_config.cc").read_text())), 6)


class Citations(unittest.TestCase):
    FILES = {
        "docs/DESIGN.md": "# Design\n## Invariants\n1. **One.**\n2. **Two.**\n## Group chat\n3. No invariant.\n",
        "docs/THREATS.md": "# Threats\n" + "".join(f"| {row} | What | Answer |\n" for row in ("A1", "A2", "A3", "B6")),
        "docs/limits.md": "# Limits\n## Fair `[shares]`, bounds\n",
        "src/gate/side.h": "", "src/gate/side.cc": "", "src/net/driver.cc": "", "fuzz/jid.cc": "", "script/demo": "",
        "build/debug/other": "",
        "src/xmpp/jid_test.cc": "TEST(Jid, is_short) {\n}\nTEST_F(JidTest,\n       is_long) {\n}\n",
    }
    GOOD = [
        "DESIGN invariant 2", "DESIGN invariants 1 and 2", "DESIGN invariants 1, 2", "DESIGN invariants 1-2",
        'DESIGN "Group chat"', "THREATS B6", "THREATS A1, A3", "THREATS A1 and B6", "THREATS A1-A3", "THREATS A1-3",
        "THREATS A, each in turn", "THREATS A1, A plain word", "docs/limits.md", "docs/*.md", "docs/limits.md, see there",
        'docs/limits.md "Fair [shares], bounds"', 'docs/limits.md, "Fair `[shares]`, bounds"',
        "docs/limits.md#fair-shares-bounds", "gate/side.h", "src/gate/side.h", "gate/side.*", "net/driver",
        "fuzz/NAME.cc", "script/demo.", "src/gate/", "https://net/absent.h", "text/plain", '"net/absent.h"',
        "a.net/absent", "/etc/net/absent", "{net/absent}", "SIDE/THREATS", "build/debug/sallyport",
    ]
    BAD = [
        "DESIGN invariant 3", "DESIGN invariants 2 and 3", "DESIGN invariants 1-3", 'DESIGN "Group chats"', "DESIGN",
        "DESIGN.md", "as DESIGN says", "THREATS C1", "THREATS A4", "THREATS A1, A4", "THREATS A2 and A4", "THREATS A1-A4",
        "THREATS A3-A1", "THREATS A1-B6", "THREATS D", "THREATS", "THREATS: all", "docs/absent.md", "docs/none/*.md",
        'docs/limits.md "Shares"', 'docs/limits.md, "Shares"', 'docs/absent.md "Shares"', "docs/limits.md#shares",
        "gate/world.h", "src/gate/world.h", "gate/world.*", "net/driver.h", "net/drive", "fuzz/NAME.h", "script/dem",
        "src/gat/", "docs/ARCHITECTURE.md",
    ]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        for name, text in self.FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        self.tree = citations.Tree(root)

    def found(self, path, text):
        return citations.check_text(self.tree, pathlib.PurePath(path), text)

    def test_a_citation_of_something_that_exists_is_accepted(self):
        for cited in self.GOOD:
            for path, text in [("src/s2s/a.cc", f"// See ({cited}).\n"), ("docs/a.md", f"See ({cited})."),
                               ("CMakeLists.txt", f"x()  # {cited}"), ("script/a", f"#!/bin/sh\n# {cited}\n"),
                               ("test/a.py", f"'''See ({cited}).'''\nx = 1  # {cited}\n")]:
                with self.subTest(cited=cited, path=path):
                    self.assertEqual(self.found(path, text), [])

    def test_a_citation_of_something_absent_is_found(self):
        for cited in self.BAD:
            for path, text in [("src/s2s/a.cc", f"\n// See ({cited}).\n"), ("src/s2s/a.h", f"\nint a;  // {cited}\n"),
                               ("src/s2s/a.cc", f"\n/* {cited} */\n"), ("docs/a.md", f"\nSee ({cited})."),
                               ("CMakeLists.txt", f"\nx()  # {cited}"), ("script/a", f"#!/bin/sh\n# {cited}\n"),
                               ("test/a.py", f"\n'''See ({cited}).'''\n"), ("test/a.py", f"\nx = 1  # {cited}\n")]:
                with self.subTest(cited=cited, path=path, text=text):
                    self.assertEqual([line for line, _ in self.found(path, text)][:1], [2])

    def test_a_citation_may_go_on_in_the_next_line(self):
        for before, after in [("DESIGN", "invariant 3"), ("DESIGN invariants 1 and", "3"), ('DESIGN "Group', 'chats"'),
                              ("THREATS", "C1"), ("THREATS A1,", "A4"), ('docs/limits.md "Fair', 'shares"'),
                              ("docs/limits.md", '"Shares"')]:
            for path, text in [("src/s2s/a.cc", f"  // See {before}\n  // {after}.\n"),
                               ("docs/a.md", f"See {before}\n{after}."), ("a.cmake", f"# See {before}\n# {after}."),
                               ("test/a.py", f"# See {before}\n# {after}.\n"),
                               ("test/a.py", f"'''See {before}\n{after}.'''\n")]:
                with self.subTest(before=before, path=path):
                    self.assertEqual(len(self.found(path, text)), 1)
        # Code or an empty line ends it.
        self.assertEqual(self.found("src/s2s/a.cc", "// THREATS A1,\nint a;\n// A4\n"), [])
        self.assertEqual(self.found("docs/a.md", "THREATS A1,\n\nA4\n"), [])

    def test_cpp_strings_cite_documents_only_and_python_strings_are_data(self):
        for text in ['f("THREATS B1");', 'f("see docs/absent.md");']:
            self.assertEqual(len(self.found("src/s2s/a_test.cc", text)), 1, text)
        for text in ['f("see net/absent.h");', 'f(R"(// THREATS B1)");', "int a = 1'000; f(\"// \\\"net/absent.h\");"]:
            self.assertEqual(self.found("src/s2s/a_test.cc", text), [], text)
        self.assertEqual(self.found("test/a.py", 'x = "docs/absent.md"\n'), [])

    def test_links_of_pages_lead_somewhere(self):
        for link in ["[limits](limits.md)", "[a](limits.md#fair-shares-bounds)", "[a](../src/gate/side.h)",
                     "[a](#group-chat)", '[a](limits.md), "Fair [shares], bounds"', "[a](https://example.com/absent.md)"]:
            self.assertEqual(self.found("docs/DESIGN.md", link), [], link)
        for link in ["[limits](limit.md)", "[a](limits.md#shares)", "[a](src/gate/side.h)", "[a](#nowhere)",
                     '[a](limits.md), "Shares"']:
            self.assertEqual(len(self.found("docs/DESIGN.md", link)), 1, link)
        self.assertEqual(self.found("README.md", "[docs/limits.md](docs/limits.md#fair-shares-bounds)"), [])

    def test_a_test_that_a_page_names_exists(self):
        self.assertEqual(self.found("docs/a.md", "`Jid.is_short`, `JidTest.is_long`, `Jid.parse`, `limits.a_key`"), [])
        for name in ["`Jid.is_long`", "`Jid.is_absent`", "`Domain.is_short`"]:
            self.assertEqual(len(self.found("docs/a.md", name)), 1, name)

    def test_the_rows_and_invariants_of_this_tree_are_read(self):
        tree = citations.Tree(ROOT)
        self.assertEqual(tree.invariants, set(range(1, 10)))
        self.assertEqual({row[0] for row in tree.threats}, set("ABC"))
        self.assertGreater(len(tree.tests), 500)


if __name__ == "__main__":
    unittest.main()

"""Every rule of tidy.py finds what it is for, and leaves alone what it is not for."""
import unittest

import tidy

TOP = "// A subject.\n"
HEADER = TOP + "#pragma once\n"


def problems(name, text, **others):
    """The problems of one file that is listed and included."""
    base = name.rsplit("/", 1)[-1]
    files = {"CMakeLists.txt": f"# All.\nadd_library(x {base} user.cpp)\n",
             "user.cpp": f'{TOP}#include "{name}"\n', name: text, **others}
    return [problem for _, _, problem in tidy.check(files)]


def function(lines):
    return "int f(int a) {\n" + "    a += 1;\n" * (lines - 2) + "}\n"


class Tidy(unittest.TestCase):
    def clean(self, name, text):
        self.assertEqual(problems(name, text), [])

    def finds(self, words, name, text):
        found = problems(name, text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_columns(self):
        self.clean("engine/log/a.cpp", TOP + "//" + "x" * 98 + "\n")
        self.finds("101 columns", "engine/log/a.cpp", TOP + "//" + "x" * 99 + "\n")

    def test_file_length(self):
        self.clean("engine/log/a.cpp", TOP + "//\n" * 799)
        self.finds("801 lines", "engine/log/a.cpp", TOP + "//\n" * 800)

    def test_function_length(self):
        self.clean("engine/log/a.cpp", TOP + function(70))
        self.finds("function of 71 lines", "engine/log/a.cpp", TOP + function(71))

    def test_function_length_of_members_and_templates(self):
        member = "struct S {\n    template <class T>\n    Result<T> g(T t) const noexcept {\n"
        self.finds("function of 72 lines", "engine/log/a.hpp",
                   HEADER + member + "        ++t;\n" * 69 + "    }\n};\n")

    def test_length_of_what_is_no_function(self):
        rows = "    {1, f(2)},\n" * 90
        self.clean("engine/log/a.cpp", TOP + "namespace a {\nconst X x[] = {\n" + rows + "};\n}\n")
        self.clean("engine/log/a.cpp", TOP + "enum class E : int {\n" + "    a,\n" * 90 + "};\n")
        self.clean("engine/log/a.cpp", TOP + "class A : B<f(1)> {\n" + "    int a;\n" * 90 + "};\n")

    def test_braces_in_strings_do_not_count(self):
        text = 'int f() {\n    return g("{", \'{\', R"({{)");  // {\n}\n' + "//\n" * 80
        self.clean("engine/log/a.cpp", TOP + text)

    def test_python_and_shell_functions(self):
        body = "    x = 1\n" * 70
        self.finds("function of 71 lines", "tests/a.py", '"""A."""\ndef f():\n' + body)
        self.finds("function of 72 lines", "tools/a",
                   "#!/bin/bash\n# A.\nset -euo pipefail\nf() {\n" + "    true\n" * 70 + "}\n")

    def test_only_in(self):
        homes = (
            ("_mm_sfence();", "engine/medium"), ("_mm512_stream_si512(a, b);", "bench"),
            ("_mm_crc32_u64(a, b);", "engine/base"), ("pmem_flush(a, 1);", "engine/medium"),
            ("pmemobj_close(a);", "engine/pool"), ("tbb::parallel_for(a);", "engine/log"),
            ("msync(a, 1, 2);", "engine/pool"), ("memset(a, 0, 1);", "engine/format"),
            ("std::memcpy(to, a, 1);", "engine/sim"), ("std::cout << 1;", "tools"),
            ("#include <libpmem.h>", "engine/medium"),
            ("#include <libpmemobj++/pool.hpp>", "engine/pool"),
            ("#include <oneapi/tbb/parallel_for.h>", "engine/log"))
        for code, home in homes:
            with self.subTest(code):
                self.clean(f"{home}/a.cpp", f"{TOP}{code}\n")
                away = "engine/log" if home != "engine/log" else "engine/pool"
                self.assertNotEqual(problems(f"{away}/a.cpp", f"{TOP}{code}\n"), [])
                self.clean(f"{away}/a.cpp", f"{TOP}// {code}\n")

    def test_assert(self):
        self.finds("CNB_CHECK", "tests/a.cpp", TOP + "assert(a);\n")
        self.clean("tests/a.cpp", TOP + "static_assert(a);\n")

    def test_log_may_read_into_a_name(self):
        self.clean("engine/log/a.cpp", TOP + "std::memcpy(&row, from, 1);\n")
        self.clean("engine/log/a.cpp", TOP + "__builtin_ia32_pause();\n")

    def test_nowhere(self):
        for word in ("TO" "DO", "FIX" "ME", "XX" "X"):
            self.finds("unfinished", "engine/log/a.cpp", f"{TOP}// {word}: later\n")
        self.finds("one machine", "README.md", "see /ro" "ot/x\n")
        self.finds("one machine", "tools/a.cmake", "# A.\nset(x /wo" "rk/main)\n")
        self.clean("README.md", "see /proc/self, build/wo" "rk/x and $HOME/x\n")
        self.finds("mirror", "README.md", "http://mirr" "or.example.org/debian\n")
        self.clean("README.md", "https://pmem.io/pmdk\n")

    def test_blanks(self):
        self.finds("blank", "engine/log/a.cpp", TOP + "int a; \n")
        self.finds("tab", "engine/log/a.cpp", TOP + "\tint a;\n")
        self.finds("newline", "engine/log/a.cpp", TOP + "int a;")

    def test_opening(self):
        words = "what the file is about"
        self.finds(words, "engine/log/a.hpp", "#pragma once\n")
        self.finds(words, "engine/log/a.cpp", "int a;\n")
        self.clean("engine/log/a.cpp", '#include "log/a.hpp"\n')
        self.finds(words, "engine/log/a.cpp", '#include "log/ba.hpp"\n')
        self.finds(words, "tests/a.py", "import re\n")
        self.finds(words, "tools/cmake/a.cmake", "set(a b)\n")
        self.finds(words, "tools/a", "#!/bin/bash\nset -euo pipefail\n")

    def test_pragma_once(self):
        self.finds("#pragma once", "engine/log/a.hpp", TOP)

    def test_script(self):
        self.finds("pipefail", "tools/a", "#!/bin/bash\n# A.\n")

    def test_dead(self):
        lists = "# A.\nx(xa.cpp a.cpp.in)\ny(-include ${z}/c.hpp)\n"
        files = {"CMakeLists.txt": lists, "a.cpp": TOP, "a.hpp": HEADER, "b.hpp": HEADER,
                 "c.hpp": HEADER, "xa.cpp": TOP + '#include "b.hpp"\n'}
        found = [(name, problem[:5]) for name, _, problem in tidy.check(files)]
        self.assertEqual(found, [("a.cpp", "dead:"), ("a.hpp", "dead:")])


if __name__ == "__main__":
    unittest.main()

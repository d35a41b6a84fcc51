# SPDX-License-Identifier: MIT
"""The tables that bind a struct's members check the members' types: a row over another type does not compile."""

import re
import shlex
import subprocess

import pytest
from piagent import SOURCE

# Each type of row, and a member that it binds.
FIELDS = {
    "PI_FIELD({t}, m, PI_FIELD_STRING)": "char *m",
    "PI_FIELD({t}, m, PI_FIELD_TEXT)": "char m[8]",
    "PI_FIELD({t}, m, PI_FIELD_U64)": "uint64_t m",
    "PI_FIELD({t}, m, PI_FIELD_BOOL)": "bool m",
    "PI_FIELD({t}, m, PI_FIELD_STRV)": "struct pi_strv m",
    "PI_FIELD({t}, m, PI_FIELD_JSON)": "json_t *m",
    "PI_ENUM({t}, m, colour)": "enum colour m",
    "PI_OTHER({t}, m, colour)": "PI_OPEN_ENUM(colour, m)",
}
MEMBERS = {*FIELDS.values(), "int m", "uint16_t m", "const char **m", "enum shape m", "enum colour m; int m_other"}
OPTIONS = {
    "{{CLI_MEMBER(CLI_FLAG, {t}, m)}}": "bool m",
    "{{CLI_MEMBER(CLI_STRING, {t}, m)}}": "char *m",
    "{{CLI_MEMBER(CLI_NUMBER, {t}, m)}}": "uint64_t m",
    "{{CLI_MEMBER(CLI_SIZE, {t}, m)}}": "uint64_t m",
    "{{CLI_MEMBER(CLI_MIB, {t}, m)}}": "uint64_t m",
    "{{CLI_MEMBER(CLI_DURATION, {t}, m)}}": "uint64_t m",
    "{{CLI_MEMBER(CLI_LIMIT, {t}, m)}}": "uint64_t m",
    "{{CLI_MEMBER(CLI_LIST, {t}, m)}}": "struct pi_strv m",
    "{{CLI_ENUM({t}, m, colour)}}": "enum colour m",
}
# PI_ENUM() and CLI_ENUM() read no m_other.
ALSO = {
    "PI_ENUM({t}, m, colour)": {"PI_OPEN_ENUM(colour, m)", "enum colour m; int m_other"},
    "{{CLI_ENUM({t}, m, colour)}}": {"enum colour m; int m_other"},
}


def refused_lines(header, table, rows):
    """Compiles a table for each pair of row and member, one a line: the numbers of the lines with errors, from 0."""
    flags = shlex.split(subprocess.check_output(["pkg-config", "--cflags", "jansson"], text=True))
    lines = [f'#include "{header}"', "enum shape { DISC };", "enum colour { RED };", "extern const char *const colour_names[];"]
    first = len(lines) + 1
    for i, (row, member) in enumerate(rows):
        lines.append(f"struct t{i} {{ {member}; }}; const struct {table} table{i}[] = {{{row.format(t=f't{i}')}, {{0}}}};")
    done = subprocess.run(["cc", "-fsyntax-only", "-D_GNU_SOURCE", f"-I{SOURCE}", *flags, "-x", "c", "-"], input="\n".join(lines),
                          stderr=subprocess.PIPE, text=True, timeout=60)
    found = {int(n) - first for n in re.findall(r"^<stdin>:(\d+):\d+: (?:error|note): ", done.stderr, re.MULTILINE)}
    assert (done.returncode != 0) == bool(found), done.stderr
    return found


@pytest.mark.parametrize("row", FIELDS)
def test_row_of_a_field_binds_members_of_its_own_type_only(row):
    own = {FIELDS[row], *ALSO.get(row, ())}
    rows = [(row, member) for member in [*sorted(own), *sorted(MEMBERS - own)]]
    assert refused_lines("agent/base/fields.h", "pi_field", rows) == set(range(len(own), len(rows)))


@pytest.mark.parametrize("row", OPTIONS)
def test_option_sets_members_of_its_own_type_only(row):
    own = {OPTIONS[row], *ALSO.get(row, ())}
    rows = [(row, member) for member in [*sorted(own), *sorted(MEMBERS - own - {"PI_OPEN_ENUM(colour, m)"})]]
    assert refused_lines("agent/cli/terminal/options.h", "cli_option", rows) == set(range(len(own), len(rows)))


def test_row_of_an_enum_names_the_enum():
    row = "PI_FIELD({t}, m, PI_FIELD_ENUM, .names = colour_names)"
    assert refused_lines("agent/base/fields.h", "pi_field", [(row, "enum colour m")]) == {0}

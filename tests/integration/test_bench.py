# SPDX-License-Identifier: MIT
"""The benchmarks run and print what they say; their figures are nobody's business here."""

import json
import os
import subprocess

SOURCE = os.environ["PIAGENT_SOURCE"]
KEYS = {"bench", "what", "peer", "ours", "theirs", "ratio", "wanted"}


def rows_of(name, tmp_path, *options):
    path = tmp_path / "rows.json"
    done = subprocess.run([f"{SOURCE}/scripts/bench", name, "--json", path, *options], text=True, timeout=250,
                          stdout=subprocess.PIPE, check=True)
    rows = json.loads(path.read_text())
    assert all(row["bench"] == name and set(row) == KEYS for row in rows)
    # What a few more instances add to the agent's memory is less than what it varies by.
    assert all(row["ours"] >= 0 for row in rows if "of one more than" not in row["what"])
    assert len(done.stdout.splitlines()) == len(rows) + 1
    return rows


def test_fetch_is_measured_beside_each_peer(tmp_path):
    rows = rows_of("fetch", tmp_path, "--runs", "1", "--size", "24")
    assert {"curl", "curl + sha256sum", "aria2c"} == {row["peer"] for row in rows}
    assert any("a connection" in row["what"] for row in rows)


def test_the_switch_is_measured_beside_vde_and_a_direct_pair(tmp_path):
    rows = rows_of("network", tmp_path, "--runs", "1", "--seconds", "0.1")
    assert {"vde_switch", "direct pair"} == {row["peer"] for row in rows}
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)


def test_load_is_measured_against_each_limit(tmp_path):
    rows = rows_of("load", tmp_path, "--count", "20")
    for what in ("memory_mib after the start", "ps, wall_s", "idle, percent of a CPU", "new agent, wall_s", "slowest answer_s"):
        assert any(row["what"].endswith(what) for row in rows), what


def test_the_agent_is_measured_with_each_number_of_instances_and_drawn(tmp_path):
    rows = rows_of("scale", tmp_path, "--count", "2", "6", "--seconds", "0.5", "--svg", tmp_path / "plot.svg")
    assert [row["what"] for row in rows] == ["2 instances, idle, percent of a CPU", "6 instances, memory_kib of one more than 2",
                                             "6 instances, idle, percent of a CPU"]
    assert "</svg>" in (tmp_path / "plot.svg").read_text()


def test_a_fleet_is_measured_up_again_and_down(tmp_path):
    rows = rows_of("fleet", tmp_path, "--count", "10")
    for what in ("up --dry-run, wall_s", "up, 20 at a time, wall_s", "memory_mib of the command", "memory_mib of the agent",
                 "up again, wall_s", "down, wall_s"):
        assert any(row["what"].endswith(what) for row in rows), what


def test_a_round_trip_is_measured_beside_a_bare_loop(tmp_path):
    rows = rows_of("qmp", tmp_path, "--runs", "1", "--count", "200")
    assert [row["peer"] for row in rows] == ["write and read"] and rows[0]["theirs"] > 0


def test_status_is_measured_beside_virsh(tmp_path):
    rows = rows_of("status", tmp_path, "--runs", "1", "--count", "2")
    assert {row["what"] for row in rows} == {"2 instances, wall_s", "2 instances, cpu_s"}


def test_a_start_is_measured_beside_qemu_by_hand_and_virsh(tmp_path):
    rows = rows_of("start", tmp_path, "--runs", "1")
    assert [row["peer"] for row in rows] == ["the same argv by hand", "virsh start"] * 2 and all(row["theirs"] > 0 for row in rows)


def test_ssh_is_measured_beside_ssh_alone(tmp_path):
    rows = rows_of("ssh", tmp_path, "--runs", "1")
    assert all(row["theirs"] > 0 for row in rows)


def test_seeds_are_measured_beside_nginx(tmp_path):
    rows = rows_of("imds", tmp_path, "--runs", "1", "--seconds", "1")
    assert len(rows) == 2 and all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)


def test_a_boot_is_measured_beside_one_by_hand(tmp_path):
    rows = rows_of("boot", tmp_path, "--fake")
    assert {"x86_64, until ready, wall_s", "x86_64, until ready, cpu_s"} == {row["what"] for row in rows}


def test_instances_of_a_template_are_measured_beside_a_boot_by_hand(tmp_path):
    rows = rows_of("template", tmp_path, "--fake")
    assert len(rows) == 9 and all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)


def test_two_members_are_measured_beside_a_direct_pair(tmp_path):
    """With fake guests, and iperf3 on this host."""
    rows = rows_of("iperf", tmp_path, "--fake", "--runs", "1")
    assert [row["what"] for row in rows] == ["two guests, megabits_s", "two guests, cpu_s a gigabit"] and rows[0]["theirs"] > 0


def test_each_number_of_boots_at_a_time_has_its_turn(tmp_path):
    rows = rows_of("stagger", tmp_path, "--fake", "--runs", "1", "--count", "4", "--parallel", "2", "1")
    assert [row["what"] for row in rows] == [f"4 guests, {parallel} at a time, {what}" for parallel in (2, 1)
                                             for what in ("wall_s", "longest boot_s", "cpu_s")]
    assert all(row["ours"] > 0 for row in rows if row["what"].endswith(", wall_s"))


def test_memory_is_measured_after_work_and_idle(tmp_path):
    rows = rows_of("memory", tmp_path, "--fake", "--count", "2")
    assert [row["peer"] for row in rows] == ["QEMU's defaults", "QEMU's defaults", "by hand"] and all(row["ours"] > 0 for row in rows)

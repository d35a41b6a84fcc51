# SPDX-License-Identifier: MIT
"""A guest's whole life, as its user sees it: the same for both architectures."""

import json
import pathlib
import platform
import subprocess
import time

import pexpect
from fedora_server import FedoraServer, Image
from piagent import PIAGENT, User, guest_image, is_running, wait_for

PASSWORD = "raspberry-42"
BOOT = 600


def boot_attached(user, arch):
    """`piagent run` in a terminal: image, password, console, login by password, and away with Ctrl-]."""
    foreign = [] if arch == platform.machine() else ["--arch", arch]
    terminal = pexpect.spawn(PIAGENT, ["run", "pi-1", *foreign, "--user", "pi", "--password-prompt", "--disk", "6G"],
                             env=user.env, timeout=120, dimensions=(40, 120), encoding="utf-8", codec_errors="replace")
    for _ in range(2):
        terminal.expect("[Pp]assword.*: ")
        terminal.sendline(PASSWORD)
    terminal.expect(rf"Fedora-Cloud-Base-Generic-44-1\.7\.{arch}\.qcow2 .*\d%  .* of \d+ MiB", timeout=180)
    terminal.expect_exact("Ctrl-]", timeout=180)
    terminal.expect("Cloud-init v[^\r\n]* finished at", timeout=BOOT)
    user.wait_ready("pi-1", BOOT)
    terminal.expect_exact("pi-1: ready; log in from another terminal, or after Ctrl-], with: piagent ssh pi-1\r\n", timeout=120)
    user.ssh("pi-1", "until systemctl -q is-active 'serial-getty@*'; do sleep 1; done", timeout=300)
    # A fresh prompt: the one that the getty had before the account was made may have the kernel's words in it, and is drawn again
    # below the line above.
    terminal.sendline("")
    terminal.expect(r"\n[^\r\n]*login: ", timeout=120)
    terminal.sendline("pi")
    terminal.expect("Password: ")
    terminal.sendline(PASSWORD)
    terminal.expect(r"\$ ", timeout=120)
    terminal.sendline("echo on-$(id -un)-$((6*7))")
    terminal.expect("on-pi-42", timeout=60)
    terminal.sendline("exit")
    terminal.expect("login: ", timeout=60)
    terminal.sendcontrol("]")
    terminal.expect(pexpect.EOF, timeout=30)
    terminal.close()
    assert terminal.exitstatus == 0, terminal.before


def check_guest(user):
    instance = user.status("pi-1")
    assert instance["image_verified"] and instance["arch"] in user.do("ps"), instance
    seen = [event["landmark"] for event in user.events("pi-1") if event["kind"] == "landmark"]
    assert seen[0] == "firmware" and seen[-3:] == ["kernel", "init", "login"], seen
    assert user.ssh("pi-1", "id -un; sudo -n id -un; hostname").split() == ["pi", "root", "pi-1"]
    report = user.ssh("pi-1", "cloud-init status --long || true")
    assert "status: done" in report and "degraded" not in report and "errors: []" in report, report
    user.ssh("pi-1", "test -b /dev/vda")
    if instance["arch"] == "x86_64":  # emulated aarch64 has none: it stalled the boot
        assert "virtio_rng" in user.ssh("pi-1", "cat /sys/class/misc/hw_random/rng_current")
    assert int(user.ssh("pi-1", "df --output=size -B1 / | tail -1")) > 5 << 30
    keys = user.ssh("pi-1", "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
    assert keys == (user.instances / "pi-1/ssh_host_ed25519_key.pub").read_text().split()[:2]


def check_host_key(user):
    """Another instance at its address is not spoken to."""
    folder = user.instances / "pi-1"
    known = (folder / "known_hosts").read_text()
    own, other = ((folder / name).read_text().split()[1] for name in ("ssh_host_ed25519_key.pub", "ssh_key.pub"))
    assert own in known
    (folder / "known_hosts").write_text(known.replace(own, other))
    said = user.call("ssh", "-o", "BatchMode=yes", "pi-1", "--", "true").stderr  # not over the connection that is open
    assert "Host key verification failed" in said and "pi-1 answers with another host key" in said, said
    (folder / "known_hosts").write_text(known)


def check_copies(user):
    """Files go in and out, also by what ssh-config prints."""
    here = user.home / "copies"
    here.mkdir()
    (here / "note").write_text("over")
    user.do("cp", str(here / "note"), "pi-1:copied")
    user.do("cp", "pi-1:copied", str(here / "back"))
    (here / "config").write_text(user.do("ssh-config", "pi-1"))
    subprocess.run(["scp", "-F", here / "config", "pi-1:copied", here / "by scp"], env=user.env, timeout=120, check=True)
    assert (here / "back").read_text() == (here / "by scp").read_text() == "over"


def check_clock(user):
    """A guest that stood still has its clock set by the guest agent in it, and a wrong one is put right as well."""
    user.ssh("pi-1", "sudo date -s '1 hour ago'")
    user.do("pause", "pi-1")
    paused = time.monotonic()
    wait_for("it stood still for a while", lambda: time.monotonic() - paused > 3, 10)
    user.do("resume", "pi-1")
    wait_for("its clock is set", lambda: any(text.startswith("its clock was 1h") and text.endswith("behind and was set")
                                             for text in user.texts("pi-1")), 60)
    assert abs(int(user.ssh("pi-1", "date +%s")) - time.time()) < 60


def check_saved(user):
    """A guest whose state was saved goes on in another QEMU as it was, and its clock is set."""
    before = user.status("pi-1")
    boot = user.ssh("pi-1", "echo kept > /dev/shm/note; cat /proc/sys/kernel/random/boot_id")
    user.ssh("pi-1", "sudo date -s '2 hours ago'")
    user.do("suspend", "pi-1")
    saved, since = user.status("pi-1"), time.monotonic()
    assert saved["state"] == "saved" and not is_running(before["pid"]), saved
    wait_for("it stood still for a while", lambda: time.monotonic() - since > 3, 10)
    user.do("start", "-d", "pi-1")
    assert user.ssh("pi-1", "cat /proc/sys/kernel/random/boot_id /dev/shm/note").split() == [boot, "kept"]
    assert user.status("pi-1")["ssh_port"] == before["ssh_port"]
    wait_for("its clock is set", lambda: any(text.startswith("its clock was 2h") and text.endswith("behind and was set")
                                             for text in user.texts("pi-1")), 60)
    assert abs(int(user.ssh("pi-1", "date +%s")) - time.time()) < 60


def check_suspend(user):
    """A guest that suspends itself is woken by resume, as it was."""
    pid = user.status("pi-1")["pid"]
    user.call("ssh", "pi-1", "--", "sudo systemctl suspend")
    user.wait_state("pi-1", "suspended", 60)
    user.do("resume", "pi-1")
    assert user.wait_state("pi-1", "ready", 10)["pid"] == pid
    assert "suspend exit" in user.ssh("pi-1", "sudo dmesg")


def check_secrets(user):
    """No secret of the instance or its seed is in a list of processes, a log, or a file that others can read."""
    folder = user.instances / "pi-1"
    record = json.loads((folder / "record.json").read_text())
    secrets = {"password": [PASSWORD], "its hash": [record["spec"]["password_hash"]], "seed's key": [record["key"]],
               "reports' key": [record["report_key"]]}
    for key in ("ssh_key", "ssh_host_ed25519_key"):
        secrets[key] = (folder / key).read_text().splitlines()[2:-1]
    processes = user.processes()
    assert {record["pid"], user.agent_pid()} <= set(processes)
    said = {f"/proc/{pid}/{file}": pathlib.Path(f"/proc/{pid}/{file}").read_text(errors="replace")
            for pid in processes for file in ("cmdline", "environ")}
    # Not console.log: cloud-init itself prints its seed's address there.
    said |= {log: (folder / log).read_text(errors="replace") for log in ("qemu.log", "journal.jsonl")}
    said |= {"agent.log": user.log(), "qemu-command": user.do("qemu-command", "pi-1"),
             "status": user.do("status", "pi-1", "--json")}
    found = [(what, where) for what, lines in secrets.items() for where, text in said.items()
             if any(line in text for line in lines)]
    assert not found, found
    assert not [path for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o077]


# In the guest, as any of its processes: fetches what is behind the seed's address, and reports there.
FETCH = """
import sys, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for name in ("meta-data", "user-data", "vendor-data", "network-config"):
    print(opener.open(sys.argv[1] + name, timeout=30).read().decode())
try:
    opener.open(sys.argv[1] + "events", b"{}", timeout=30)
    print("reported")
except urllib.error.HTTPError as error:
    print("events:", error.code)
"""


def check_processes_in_the_guest(user, name):
    """A guest's process without privileges finds the seed's address, but no secret, and no way to report."""
    record = json.loads((user.instances / name / "record.json").read_text())

    def files_with(text):
        return user.ssh(name, f"sudo -u nobody grep -rlsF -D skip {text} /run /etc /var /tmp /sys/class/dmi/id/ || true").split()
    assert "/run/cloud-init/instance-data.json" in files_with(record["key"])
    found = files_with(record["report_key"])
    assert not found, found
    assert user.ssh(name, f"sudo grep -c {record['report_key']} /run/cloud-init/piagent.cfg") == "1"
    address = "http://10.0.2.2:{}/{}/".format(record["imds_port"], record["key"])
    text = user.ssh(name, f"sudo -u nobody python3 - {address} <<'END'\n{FETCH}\nEND")
    assert record["spec"]["uuid"] in text and text.endswith("events: 404"), text
    secrets = [record["spec"].get("password_hash"), *(user.instances / name / "ssh_host_ed25519_key").read_text().splitlines()[:-1]]
    if record["spec"]["has_user_data"]:
        secrets += (user.instances / name / "user-data").read_text().splitlines()[1:]
    assert not [secret for secret in secrets if secret and secret in text], text


def boots_anew(user, act):
    """Runs act and waits for the boot after it; the instance stays the same one to cloud-init and to ssh."""
    ask = "cat /proc/sys/kernel/random/boot_id; sudo cat /var/lib/cloud/data/instance-id"
    boot, instance = user.ssh("pi-1", ask).split()
    act()
    user.wait_ready("pi-1", BOOT)
    new_boot, new_instance = user.ssh("pi-1", ask).split()
    assert new_boot != boot and new_instance == instance


def reset(user):
    user.do("reset", "pi-1")
    wait_for("the reset is seen", lambda: user.state("pi-1") == "running", 30)


def stop_and_start(user):
    instance = user.status("pi-1")
    user.do("powerdown", "pi-1", timeout=300)
    assert not is_running(instance["pid"])
    instance = user.status("pi-1")
    assert (instance["state"], instance["stopped_by"]) == ("stopped", "powerdown"), instance
    user.do("start", "pi-1", "-d", timeout=BOOT)
    [*_, boot] = [event for event in user.events("pi-1") if event["kind"] == "boot"]
    assert boot["left_ms"] > 0, boot  # the boot before was one that was seen to its end, too


IDENTITY = "sudo cat /var/lib/cloud/data/instance-id; hostname; id -un; sudo sha256sum /etc/shadow /etc/ssh/ssh_host_*_key"


def ssh_by_hand(user, name, command):
    """Without piagent, whose commands would start an agent; the host key is checked as piagent checks it."""
    folder = user.instances / name
    spec = json.loads((folder / "record.json").read_text())["spec"]
    return subprocess.run(["ssh", "-i", folder / "ssh_key", f"-oUserKnownHostsFile={folder}/known_hosts",
                           "-oGlobalKnownHostsFile=/dev/null", "-oStrictHostKeyChecking=yes", "-oBatchMode=yes",
                           f"-oHostKeyAlias={name}", "-oConnectTimeout=5", f"-p{spec['ssh_port']}",
                           f"{spec['user']}@127.0.0.1", command],
                          text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)


def reboots_without_an_agent(user, name):
    """No agent serves the seed or hears reports while the guest boots: to cloud-init it is the same instance still."""
    boot, *before = user.ssh(name, f"cat /proc/sys/kernel/random/boot_id; {IDENTITY}").splitlines()
    user.kill_agent()
    ssh_by_hand(user, name, "sudo systemctl reboot")

    def booted_anew():
        said = ssh_by_hand(user, name, f"cat /proc/sys/kernel/random/boot_id && cloud-init status --wait >&2; {IDENTITY}")
        return said.returncode == 0 and said.stdout.split()[0] != boot and said.stdout.splitlines()[1:]
    assert wait_for("it has booted again", booted_anew, BOOT) == before
    assert not is_running(user.agent_pid())
    assert user.state(name) == "ready"


def live(arch):
    image = Image(arch, guest_image(arch))
    with FedoraServer([image]) as fedora, User(**fedora.env) as user:
        boot_attached(user, arch)
        check_guest(user)
        check_host_key(user)
        check_copies(user)
        check_clock(user)
        check_saved(user)
        user.ssh("pi-1", "echo kept > ~/note; sync")
        check_secrets(user)
        check_processes_in_the_guest(user, "pi-1")
        if arch == "x86_64":
            reboots_without_an_agent(user, "pi-1")
            check_suspend(user)  # before the reset, which gives it back what QEMU's wakeup may lose
        boots_anew(user, lambda: reset(user))
        boots_anew(user, lambda: stop_and_start(user))
        assert user.ssh("pi-1", "cat ~/note") == "kept"
        user.call("ssh", "pi-1", "--", "sudo poweroff")
        instance = user.wait_state("pi-1", "stopped", 180)
        assert instance["stopped_by"] == "guest", instance
        user.do("rm", "pi-1")
        assert not list(user.instances.iterdir())

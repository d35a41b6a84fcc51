"""A guest's whole life, as its user sees it: the same for both architectures."""

import json
import pathlib

import pexpect
from fedora_server import FedoraServer, Image
from piagent import PIAGENT, User, guest_image, is_running, wait_for

PASSWORD = "raspberry-42"
BOOT = 600


def boot_attached(user, arch):
    """`piagent run` in a terminal: image, password, console, login by password, and away with Ctrl-]."""
    terminal = pexpect.spawn(PIAGENT, ["run", "pi-1", "--arch", arch, "--user", "pi", "--password-prompt", "--disk", "6G"],
                             env=user.env, timeout=120, dimensions=(40, 120), encoding="utf-8", codec_errors="replace")
    for _ in range(2):
        terminal.expect("[Pp]assword.*: ")
        terminal.sendline(PASSWORD)
    terminal.expect("Ctrl-]", timeout=180)
    # The account is made by cloud-init while the getty is there already, and the kernel may print into its prompt.
    user.wait_ready("pi-1", BOOT)
    terminal.sendline("")
    terminal.expect("login: ", timeout=60)
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
    assert user.ssh("pi-1", "id -un; sudo -n id -un; hostname").split() == ["pi", "root", "pi-1"]
    report = user.ssh("pi-1", "cloud-init status --long || true")
    assert "status: done" in report and "errors: []" in report, report
    assert int(user.ssh("pi-1", "df --output=size -B1 / | tail -1")) > 5 << 30
    keys = user.ssh("pi-1", "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
    assert keys == (user.instances / "pi-1/ssh_host_ed25519_key.pub").read_text().split()[:2]


def check_secrets(user):
    """What opens the machine or its seed is in no list of processes, in no log, in no file that others can read."""
    folder = user.instances / "pi-1"
    record = json.loads((folder / "record.json").read_text())
    secrets = [record["key"], record["spec"]["password_hash"], PASSWORD,
               (folder / "ssh_host_ed25519_key").read_text().splitlines()[2]]
    pids = [record["pid"], user.agent_pid()]
    said = "".join(pathlib.Path(f"/proc/{pid}/{file}").read_text(errors="replace")
                   for pid in pids for file in ("cmdline", "environ"))
    said += user.log() + (folder / "qemu.log").read_text() + user.do("qemu-command", "pi-1") + user.do("status", "pi-1")
    assert not [secret for secret in secrets if secret in said]
    assert not [path for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o077]


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
    machine = user.status("pi-1")
    user.do("powerdown", "pi-1", timeout=300)
    assert not is_running(machine["pid"])
    machine = user.status("pi-1")
    assert (machine["state"], machine["stopped_by"]) == ("stopped", "powerdown"), machine
    user.do("start", "pi-1", "-d", timeout=BOOT)


def live(arch):
    image = Image(arch, guest_image(arch))
    with FedoraServer([image]) as fedora, User(**fedora.env) as user:
        boot_attached(user, arch)
        check_guest(user)
        assert user.status("pi-1")["image_verified"]
        user.ssh("pi-1", "echo kept > ~/note; sync")
        check_secrets(user)
        boots_anew(user, lambda: reset(user))
        boots_anew(user, lambda: stop_and_start(user))
        assert user.ssh("pi-1", "cat ~/note") == "kept"
        user.call("ssh", "pi-1", "--", "sudo poweroff")
        machine = user.wait_state("pi-1", "stopped", 180)
        assert machine["stopped_by"] == "guest", machine
        user.do("rm", "pi-1")
        assert not list(user.instances.iterdir())

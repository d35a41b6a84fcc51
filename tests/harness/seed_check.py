# SPDX-License-Identifier: MIT
"""Feeds rendered seeds to the cloud-init of this host, as a guest's would take them, and tells what came of it.

seed_check.py DIR: every folder in DIR is a seed (meta-data, user-data, vendor-data, network-config). They are
served over HTTP on loopback, fetched by NoCloud through a made-up SMBIOS serial, and consumed by cloud-init's own
code with all of its paths in a temporary folder. The account, the keys and the configuration that it arrives at
are compared with what the folder's name stands for in CASES.
"""

import contextlib
import functools
import http.server
import inspect
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from unittest import mock

from cloudinit import dmi, helpers, sources, stages, util
from cloudinit.config import cc_ssh, cc_update_etc_hosts
from cloudinit.distros import ug_util
from cloudinit.handlers import boot_hook
from cloudinit.settings import PER_INSTANCE
from cloudinit.sources import DataSourceNoCloud

DEFAULT_USER = {"name": "image", "lock_passwd": True, "gecos": "Image", "groups": ["wheel", "adm"],
                "sudo": ["ALL=(ALL) NOPASSWD:ALL"], "shell": "/bin/sh"}
KEYS = ["piagent", "user"]  # comments of the keys that every seed's meta-data holds


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def base_config(root):
    return {"users": ["default"], "manage_etc_hosts": True, "datasource_list": ["NoCloud"], "vendor_data": {"enabled": True, "prefix": []},
            "system_info": {"distro": "fedora", "default_user": DEFAULT_USER,
                            "paths": {"cloud_dir": f"{root}/cloud", "run_dir": f"{root}/run"}}}


def boot(root, url):
    """One boot of a guest whose serial points to url: the Init object, the NoCloud source, the boot hooks."""
    hooks = []
    record = lambda self, data, ctype, filename, payload, frequency: (
        hooks.append(payload) if ctype == "text/cloud-boothook" else None)
    serial = f"ds=nocloud;dsmode=net;s={url}"
    with mock.patch.object(stages, "fetch_base_config", lambda *_, **__: base_config(root)), \
         mock.patch.object(dmi, "read_dmi_data", lambda key: serial if key == "system-serial-number" else None), \
         mock.patch.object(util, "find_devs_with", lambda *_, **__: []), \
         mock.patch.object(boot_hook.BootHookPartHandler, "handle_part", record):
        init = stages.Init(ds_deps=[sources.DEP_FILESYSTEM, sources.DEP_NETWORK])
        init.read_cfg()
        init.initialize()
        source = DataSourceNoCloud.DataSourceNoCloudNet(init.cfg, init.distro, init.paths)
        source.ds_cfg["fs_label"] = None
        assert source.get_data(), "NoCloud did not take the seed"
        init.datasource = source
        init._reset()
        init.instancify()
        init.update()
        init.consume_data(PER_INSTANCE)
        # Init.cfg would look for what was just written in /var/lib/cloud.
        config = helpers.ConfigMerger(paths=init.paths, datasource=source, base_cfg=base_config(root)).cfg
        return init, source, config, hooks


def accounts(init, config):
    users, _ = ug_util.normalize_users_groups(config, init.distro)
    name, _ = ug_util.extract_default({k: dict(v) for k, v in users.items()})
    return users, name


def reporting(init, source, root):
    """The address that cloud-init reports to, and who can read it."""
    config = helpers.ConfigMerger(paths=init.paths, datasource=source, base_cfg=base_config(root)).cfg["reporting"]
    if "mine" in config:  # the user's own beats it
        return None
    files = [path for folder, _, names in os.walk(root) for name in names if os.path.exists(path := os.path.join(folder, name))]
    holding = [path for path in files if config["piagent"]["endpoint"].encode() in open(path, "rb").read()]
    assert holding and not [path for path in holding if "/dmi/" not in path and os.stat(path).st_mode & 0o077], holding
    assert {**config["piagent"], "endpoint": None} == {"type": "webhook", "endpoint": None, "timeout": 5, "retries": 1}
    return config["piagent"]["endpoint"]


def check_peers_url(root, source, port):
    """Each boot has the address of now, whatever the meta-data says, for all users of the guest."""
    path = f"{root}/run/cloud-init/piagent-peers-url"
    assert os.path.exists(path) == ("fleet" in source.metadata)
    if "fleet" in source.metadata:
        assert open(path, encoding="ascii").read() == f"http://10.0.2.2:{port}/PEERS/peers\n"
        assert os.stat(path).st_mode & 0o777 == 0o644
        os.remove(path)


def check_growpart(root, script, init, source):
    """It is off if there are partitions and none of them can grow by 2 MiB. Sizes are in sectors."""
    for size, parts, grows in ((0, [], True), (8192, [], True), (20480, [(34, 2014), (2048, 18399)], False),
                               (20480, [(4096, 16351), (2048, 2048)], False), (20480, [(34, 2014), (2048, 14336)], True)):
        shutil.rmtree(f"{root}/vda", ignore_errors=True)
        for number, part in enumerate(parts, 1):
            os.makedirs(f"{root}/vda/vda{number}")
            for file, value in zip(("start", "size"), part):
                with open(f"{root}/vda/vda{number}/{file}", "w", encoding="ascii") as out:
                    out.write(f"{value}\n")
        if size:
            os.makedirs(f"{root}/vda", exist_ok=True)
            with open(f"{root}/vda/size", "w", encoding="ascii") as out:
                out.write(f"{size}\n")
        subprocess.run(["sh", "-euc", script], check=True)
        config = helpers.ConfigMerger(paths=init.paths, datasource=source, base_cfg=base_config(root)).cfg
        assert config.get("growpart") == (None if grows else {"mode": "off"}), (size, parts, config)


def tell_board(root, tag):
    """What the board of the guest's next boot says."""
    with open(f"{root}/dmi/board_asset_tag", "w", encoding="ascii") as out:
        out.write(f"{tag}\n")


def check_hook(root, hook, init, source):
    """The hook, run with its paths moved into root: what the next boot finds."""
    os.makedirs(f"{root}/run/cloud-init", exist_ok=True)
    os.makedirs(f"{root}/dmi", exist_ok=True)
    script = hook.replace("/var/lib/cloud", f"{root}/cloud").replace("/run/cloud-init", f"{root}/run/cloud-init")
    script = script.replace("/sys/class/dmi/id", f"{root}/dmi").replace("/var/log", f"{root}/dmi").replace("/sys/block", root)
    with open(f"{root}/dmi/cloud-init.log", "w", encoding="ascii") as log:
        os.fchmod(log.fileno(), 0o644)
    with open(f"{root}/dmi/product_serial", "w", encoding="ascii") as out:
        out.write("ds=nocloud;dsmode=net;s=http://10.0.2.2:1234/KEY/\n")
    tell_board(root, "")
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{root}/dmi/board_serial")
    meta_data = f"{root}/cloud/seed/nocloud/meta-data"
    for board in (None, "http://10.0.2.2:1234/REPORTS/events", "http://10.0.2.2:1235/OTHER/events"):
        if board:
            with open(f"{root}/dmi/board_serial", "w", encoding="ascii") as out:
                out.write(f"{board}\n")
            tell_board(root, f"instance-id: {source.get_instance_id()}")
        os.umask(0)
        subprocess.run(["sh", "-euc", script], check=True)
        assert os.path.islink(meta_data) == bool(board), "under a QEMU of an earlier piagent it is a file"
        assert open(meta_data, encoding="ascii").read() == f"instance-id: {source.get_instance_id()}\n"
        assert os.stat(f"{root}/dmi/cloud-init.log").st_mode & 0o777 == 0o640
        assert reporting(init, source, root) in (None, board or "http://10.0.2.2:1234/KEY/events")
        check_peers_url(root, source, "1235" if board and "1235" in board else "1234")
    check_growpart(root, script, init, source)
    os.remove(f"{root}/run/cloud-init/piagent.cfg")  # as at the next boot: nothing is left of it
    config = helpers.ConfigMerger(paths=init.paths, datasource=source, base_cfg=base_config(root)).cfg
    assert "piagent" not in config.get("reporting", {}), config

    assert source.check_instance_id(None), "a reboot would fetch the seed again"
    tell_board(root, "instance-id: iid-89ab")
    assert not source.check_instance_id(None), "a clone would take itself for its source"
    tell_board(root, f"instance-id: {source.get_instance_id()}")
    folder = DataSourceNoCloud.DataSourceNoCloud(source.sys_cfg, source.distro, source.paths)
    folder.ds_cfg["fs_label"] = None
    with mock.patch.object(dmi, "read_dmi_data", lambda _: None), \
         mock.patch.object(util, "find_devs_with", lambda *_, **__: []):
        assert not folder._get_data(), "the hook's meta-data must not pass for a seed of its own"


def check_host_key(config):
    assert config["ssh_keys"]["ed25519_public"].startswith("ssh-ed25519 ")
    assert config["ssh_keys"]["ed25519_private"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert "ed25519_private" in cc_ssh.CONFIG_KEY_TO_FILE


def check_host_key_is_kept(config, init):
    """Also if the module runs again, after "cloud-init clean"."""
    touched = []
    with mock.patch.object(cc_ssh.glob, "glob", lambda _: ["/etc/ssh/ssh_host_ed25519_key"]), \
         mock.patch.object(cc_ssh.os.path, "exists", lambda path: path == "/etc/ssh/ssh_host_ed25519_key"), \
         mock.patch.object(cc_ssh.util, "del_file", touched.append), \
         mock.patch.object(cc_ssh.util, "write_file", lambda path, *_: touched.append(path)), \
         mock.patch.object(cc_ssh.util, "ensure_dir", lambda _: None), \
         mock.patch.object(cc_ssh.subp, "subp", lambda command, **_: touched.append(command) or ("", "")), \
         mock.patch.object(cc_ssh, "apply_credentials", lambda *_: None):
        arguments = ["ssh", {**config, "ssh_publish_hostkeys": {"enabled": False}}, init.cloudify(), None, []]
        cc_ssh.handle(*arguments[:len(inspect.signature(cc_ssh.handle).parameters)])  # the fourth was a logger once
    assert touched == [], touched


def check_machine_id(root, hook):
    """The hook of a clone, on a disk with the machine-id of its source: at its first boot, and at the next one."""
    wanted = "4567456745674567456745674567abcd\n"
    for folder in ("etc", "bin", "dbus"):
        os.makedirs(f"{root}/{folder}")
    with open(f"{root}/bin/systemctl", "w", encoding="ascii") as out:
        out.write(f"#!/bin/sh\necho $* >>{root}/restarted\n")
    os.chmod(f"{root}/bin/systemctl", 0o755)
    script = hook.replace("/etc/machine-id", f"{root}/etc/machine-id").replace("/var/lib/dbus", f"{root}/dbus")
    for file in ("etc/machine-id", "dbus/machine-id"):
        with open(f"{root}/{file}", "w", encoding="ascii") as out:
            out.write("0123012301230123012301230123cdef\n")
    for _ in range(2):
        subprocess.run(["sh", "-euc", script], check=True, env={**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}"})
        assert [open(f"{root}/{file}", encoding="ascii").read() for file in ("etc/machine-id", "dbus/machine-id")] == [wanted] * 2
    assert open(f"{root}/restarted", encoding="ascii").read() == "try-restart systemd-journald systemd-networkd\n"


def check_common(init, source, config, hooks, name="pi", instance="iid-0123"):
    assert source.get_instance_id() == instance, source.metadata
    assert source.metadata["local-hostname"] == "pi-1"
    assert source.network_config is None
    assert [key.split()[-1] for key in source.get_public_ssh_keys()] == KEYS
    assert hooks and all(hook.startswith("#!/bin/sh\n") for hook in hooks), hooks
    users, default = accounts(init, config)
    assert default == name, "SSH keys go to the default user"
    return users


def check_account(pi):
    assert pi["lock_passwd"] is False and pi["hashed_passwd"].startswith("$6$"), pi
    assert pi["sudo"] == "ALL=(ALL) NOPASSWD:ALL" and pi["shell"] == "/bin/bash", pi


def is_hosts_rewritten(config, init):
    """Whether cloud-init writes /etc/hosts at each boot, as Debian's images ask it to."""
    path = init.paths.get_runpath() + "/hosts"
    with open(path, "w", encoding="ascii") as out:
        out.write("mine\n")
    with mock.patch.object(type(init.distro), "hosts_fn", path):
        arguments = ["hosts", config, init.cloudify(), logging.getLogger(), []]
        cc_update_etc_hosts.handle(*arguments[:len(inspect.signature(cc_update_etc_hosts.handle).parameters)])
    return open(path, encoding="ascii").read() != "mine\n"


def case_plain(users, config, _):
    assert list(users) == ["pi"], users
    check_account(users["pi"])
    assert sorted(users["pi"]["groups"].split(",")) == ["adm", "wheel"], users


def case_alone(users, config, init):
    case_plain(users, config, init)
    assert is_hosts_rewritten(config, init)


def case_networks(users, config, init):
    case_plain(users, config, init)
    assert not is_hosts_rewritten(config, init), "it would lead the guest's own name to loopback"


def case_locked(users, config, _):
    assert users["pi"]["lock_passwd"] is True and "hashed_passwd" not in users["pi"], users
    assert sorted(users["pi"]["groups"].split(",")) == ["users", "wheel"], users


def case_users(users, config, _):
    """The user's file names the same user with a key and a group, another one, and the default."""
    assert sorted(users) == ["bob", "pi"], users
    check_account(users["pi"])
    assert users["pi"]["ssh_authorized_keys"] == ["ssh-ed25519 AAAA theirs"], users
    assert "docker" in users["pi"]["groups"].split(","), users
    assert config["packages"] == ["htop"] and config["write_files"] == [{"path": "/x"}], config
    assert config["bootcmd"] == ["true"], config
    assert config["reporting"] == {"mine": {"type": "log"}}, config


def case_other(users, config, _):
    """The user's file lists other users only; and in Jinja."""
    assert sorted(users) == ["bob", "pi"], users
    check_account(users["pi"])
    assert config["runcmd"] == ["echo iid-0123"], config


def case_script(users, config, init):
    check_account(users["pi"])
    scripts = f"{init.paths.get_ipath_cur('scripts')}"
    text = "".join(open(os.path.join(scripts, f), encoding="utf-8").read() for f in os.listdir(scripts) if f != "vendor")
    assert text == "#!/bin/sh\necho grüße\n", text


def case_mime(users, config, _):
    check_account(users["pi"])
    assert config["packages"] == ["mime"], config


def case_gzip(users, config, _):
    check_account(users["pi"])
    assert config["packages"] == ["gzip"], config


def case_booted(users, config, init):
    """The user's file, after the first boot: what it holds, the hash and the host key are not served any more."""
    assert list(users) == ["pi"], users
    assert users["pi"]["lock_passwd"] is False and "hashed_passwd" not in users["pi"], users
    assert "packages" not in config and "ssh_keys" not in config, config
    check_host_key_is_kept(config, init)


SECRET = "join-secret-5eed"


def who_may_read(init, text):
    """The modes of the files of instance data that hold the text."""
    return {name: os.stat(init.paths.get_runpath(name)).st_mode & 0o777 for name in ("instance_data", "instance_data_sensitive")
            if text in open(init.paths.get_runpath(name), encoding="utf-8").read()}


def case_fleet(users, config, init):
    """Jinja finds all of it; the join secret is root's alone."""
    assert config["runcmd"] == [f"join {SECRET}", f"join {SECRET}", "hello node-1 node 1 10.77.0.3 aarch64",
                                "hello server server 1 10.77.0.2 x86_64",
                                "i am node 1 of 1 in lab of 2 http://10.0.2.2:1234/PEERS/peers"], config["runcmd"]
    assert who_may_read(init, SECRET) == {"instance_data_sensitive": 0o600}
    assert who_may_read(init, "10.77.0.3") == {"instance_data": 0o644, "instance_data_sensitive": 0o600}
    assert "running" not in init.datasource.metadata["fleet"]["peers"][1]


def case_fleet_booted(users, config, init):
    assert who_may_read(init, SECRET) == {} and "security-credentials" not in init.datasource.metadata
    assert [peer["name"] for peer in init.datasource.metadata["fleet"]["peers"]] == ["node-1", "server"]


CASES = {"fleet": case_fleet, "fleet-booted": case_fleet_booted,
         "plain": case_alone, "networks": case_networks, "clone": case_networks, "locked": case_locked, "users": case_users, "jinja": case_other,
         "script": case_script, "mime": case_mime, "gzip": case_gzip, "booted": case_booted}


def check_schema(folder, root):
    """cloud-init schema over our own cloud-configs: the account, and the first part of the vendor-data."""
    vendor = open(f"{folder}/vendor-data", encoding="utf-8").read()
    header, _, body = vendor.partition("\n")
    assert header == "#cloud-config-archive"
    ours = {"vendor": json.loads(body)[0]["content"]}
    if os.path.basename(folder) in ("plain", "locked"):
        ours["user"] = open(f"{folder}/user-data", encoding="utf-8").read()
    for name, text in ours.items():
        path = f"{root}/{name}.yaml"
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        ran = subprocess.run(["cloud-init", "schema", "-c", path], capture_output=True, text=True, check=False)
        assert ran.returncode == 0 and "deprecat" not in (ran.stdout + ran.stderr).lower(), ran


def main():
    seeds = sys.argv[1]
    assert sorted(os.listdir(seeds)) == sorted(CASES), "each case has its seed, and each seed its case"
    server = serve(seeds)
    for name, check in CASES.items():
        with tempfile.TemporaryDirectory() as root:
            seeds_url, more = f"http://127.0.0.1:{server.server_port}", {}
            if name == "clone":  # its disk is that of another instance, which has booted
                init, source, _, hooks = boot(root, f"{seeds_url}/plain/")
                check_hook(root, hooks[0], init, source)
                more = {"instance": "iid-4567"}
            init, source, config, hooks = boot(root, f"{seeds_url}/{name}/")
            assert len(hooks) == {"networks": 2, "clone": 3}.get(name, 1), hooks
            if name == "clone":
                assert (init.is_new_instance(), init.previous_iid()) == (True, "iid-0123")
                check_machine_id(root, hooks.pop(0))
            check(check_common(init, source, config, hooks, **more), config, init)
            if "booted" not in name:
                check_host_key(config)
            check_hook(root, hooks[0], init, source)
            check_schema(f"{seeds}/{name}", root)
            print(f"{name}: as it should be")


if __name__ == "__main__":
    main()

/* SPDX-License-Identifier: MIT */
#include "agent/seed/identity.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/base/base64.h"
#include "agent/seed/documents.h"
#include "agent/seed/smbios.h"
#include "agent/seed/ssh_key.h"

/* In Python, because RNDADDENTROPY is an ioctl, and cloud-init, which every guest has, is written in it. It has cloud-init loaded
 * before the template is saved: the stages of each clone's cloud-init then begin at once. */
static const char program[] =
    "import base64, ctypes, fcntl, importlib, json, os, pkgutil, struct, sys, time\n"
    "import cloudinit.cmd.main, cloudinit.config\n"
    "names = ['cloudinit.config.' + module.name for module in pkgutil.iter_modules(cloudinit.config.__path__)]\n"
    "for name in ['cloudinit.sources.DataSourceNoCloud', *names]:\n"
    "    try:\n"
    "        importlib.import_module(name)\n"
    "    except Exception:\n"
    "        pass\n"
    "port = open(sys.argv[1], 'r+b', buffering=0)\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "told, scope = None, None\n"
    "def say(text):\n"
    "    port.write(text.encode(errors='replace') + b'\\n')\n"
    "def mix(entropy):\n"
    "    with open('/dev/urandom', 'wb') as pool:\n"
    "        fcntl.ioctl(pool, 0x40085203, struct.pack('ii', 8 * len(entropy), len(entropy)) + entropy)\n"
    "        fcntl.ioctl(pool, 0x5207)\n"
    "def take(me):\n"
    "    global told, scope\n"
    "    if me['uuid'] != told:\n"
    "        mix(base64.b64decode(me['entropy']))\n"
    "        say('did entropy')\n"
    "        scope = {'me': me, 'say': say, 'libc': libc}\n"
    "        exec(me['code'], scope)\n"
    "        scope['identify']()\n"
    "        told = me['uuid']\n"
    "    say('done')\n"
    "line = b''\n"
    "while True:\n"
    "    part = port.read(65536)\n"
    "    *lines, line = (line + part).split(b'\\n') if part else (b'',)\n"
    "    if not part:\n"
    "        time.sleep(.2)\n"
    "    for text in lines:\n"
    "        if text == b'kept' and told:\n"
    "            scope['settle']()\n"
    "            sys.exit()\n"
    "        try:\n"
    "            if text.startswith(b'{'):\n"
    "                take(json.loads(text))\n"
    "        except json.JSONDecodeError:\n"
    "            say('again')\n"
    "        except Exception as error:\n"
    "            say('failed %s: %s' % (type(error).__name__, error))\n";

static const char code[] =
    "import ctypes, glob, json, os, pwd, random, re, signal, socket, subprocess, time\n"
    "import cloudinit.cmd.main\n"
    "def read(path):\n"
    "    try:\n"
    "        with open(path) as file:\n"
    "            return file.read()\n"
    "    except FileNotFoundError:\n"
    "        return ''\n"
    "def write(path, text, mode=0o644):\n"
    "    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), 'w') as file:\n"
    "        file.write(text)\n"
    "def run(*words):\n"
    "    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout\n"
    "def clock():\n"
    "    time.clock_settime(time.CLOCK_REALTIME, me['time_ms'] / 1000)\n"
    "def randomness():\n"
    "    for seed in glob.glob('/var/lib/systemd/random-seed'):\n"
    "        write(seed, '')\n"
    "        with open(seed, 'wb') as file:\n"
    "            file.write(os.urandom(512))\n"
    "    key = os.urandom(16).hex()\n"
    "    write('/proc/sys/net/ipv4/tcp_fastopen_key', '-'.join(key[at:at + 8] for at in range(0, 32, 8)))\n"
    "def names():\n"
    "    old = socket.gethostname().split('.')[0]\n"
    "    socket.sethostname(me['hostname'])\n"
    "    write('/etc/hostname', me['hostname'] + '\\n')\n"
    "    write('/etc/hosts', re.sub(r'(?<!\\S)' + re.escape(old) + r'(?=[\\s.]|$)', me['hostname'], read('/etc/hosts')))\n"
    "def ids():\n"
    "    for path in ['/etc/machine-id', '/var/lib/dbus/machine-id']:\n"
    "        if os.path.exists(path):\n"
    "            write(path, me['machine-id'] + '\\n')\n"
    "def board():\n"
    "    os.makedirs('/run/piagent', exist_ok=True)\n"
    "    for name, text in me['board'].items():\n"
    "        shown, own = '/sys/class/dmi/id/' + name, '/run/piagent/' + name\n"
    "        if os.path.exists(shown):\n"
    "            write(own, text + '\\n', os.stat(shown).st_mode & 0o777)\n"
    "            if libc.mount(own.encode(), shown.encode(), None, 4096, None):\n"
    "                raise OSError(ctypes.get_errno(), 'cannot mount over ' + shown)\n"
    "def login_keys():\n"
    "    with open('/run/cloud-init/instance-data.json') as file:\n"
    "        templates = [key.split()[1] for key in json.load(file)['ds']['meta_data']['public-keys']]\n"
    "    for path in glob.glob('/root/.ssh/authorized_keys') + glob.glob('/home/*/.ssh/authorized_keys'):\n"
    "        write(path, ''.join(line for line in open(path) if not any(key in line for key in templates)))\n"
    "    try:\n"
    "        user = pwd.getpwnam(me['user'])\n"
    "    except KeyError:\n"
    "        return\n"
    "    path = user.pw_dir + '/.ssh/authorized_keys'\n"
    "    if os.path.exists(path):\n"
    "        write(path, read(path) + ''.join(key + '\\n' for key in me['keys']))\n"
    "def host_key():\n"
    "    for path in glob.glob('/etc/ssh/ssh_host_*'):\n"
    "        os.unlink(path)\n"
    "    write('/etc/ssh/ssh_host_ed25519_key', me['host_key'], 0o600)\n"
    "    write('/etc/ssh/ssh_host_ed25519_key.pub', me['host_key_public'] + '\\n')\n"
    "    pid = read('/run/sshd.pid')\n"
    "    if pid:\n"
    "        os.unlink('/run/sshd.pid')\n"
    "        os.kill(int(pid), signal.SIGHUP)\n"
    "        for _ in range(2000):\n"
    "            if read('/run/sshd.pid'):\n"
    "                return\n"
    "            time.sleep(.01)\n"
    "    run('systemctl', 'try-restart', 'sshd.service', 'ssh.service')\n"
    "def networks():\n"
    "    if me['networks']:\n"
    "        write('/run/piagent/networks', me['networks'])\n"
    "        run('sh', '/run/piagent/networks')\n"
    "def services():\n"
    "    running = {os.path.basename(path) for path in glob.glob('/sys/fs/cgroup/system.slice/**/*.service', recursive=True) +\n"
    "               glob.glob('/sys/fs/cgroup/systemd/system.slice/**/*.service', recursive=True)}\n"
    "    others = [name for name in sorted(running) if not re.match(\n"
    "        '(systemd-|dbus|user@|sshd?[.@]|cloud-|piagent-|polkit|qemu-guest|(serial-)?getty)', name)]\n"
    "    if others:\n"
    "        run('systemctl', '--no-block', 'try-restart', *others)\n"
    "def identify():\n"
    "    os.umask(0o022)\n"
    "    for part in [clock, randomness, names, ids, board, login_keys, host_key, networks, services]:\n"
    "        part()\n"
    "        say('did ' + part.__name__)\n"
    "def stage(*words):\n"
    "    pid = os.fork()\n"
    "    if pid:\n"
    "        os.waitpid(pid, 0)\n"
    "        return\n"
    "    try:\n"
    "        random.seed()\n"
    "        os.dup2(os.open('/dev/null', os.O_RDONLY), 0)\n"
    "        cloudinit.cmd.main.main(['cloud-init', *words])\n"
    "    finally:\n"
    "        os._exit(0)\n"
    "def settle():\n"
    "    run('rm', '-rf', *['/var/lib/cloud/' + name for name in ('instance', 'instances', 'data', 'sem', 'seed/nocloud')],\n"
    "        *['/run/cloud-init/' + name for name in ('.instance-id', 'sem', 'share', 'status.json', 'result.json')])\n"
    "    run('systemctl', '--no-block', 'try-restart', 'systemd-journald.service', 'systemd-boot-random-seed.service')\n"
    "    stage('init')\n"
    "    run('systemctl', 'daemon-reexec')\n"
    "    running = run('systemctl', 'list-units', '--type=service', '--state=running', '--plain', '--no-legend')\n"
    "    own = [line.split()[0] for line in running.splitlines()\n"
    "           if re.match('(systemd-(?!journald|logind|udevd)|(serial-)?getty)', line)]\n"
    "    run('systemctl', '--no-block', 'try-restart', *own)\n"
    "    stage('modules', '--mode=config')\n"
    "    stage('modules', '--mode=final')\n";

/* The unit waits until accounts are made. What the user-data leaves running in the background stays, as after cloud-init's own
 * units. */
int seed_identity_hook(const char *port, const char *user, struct pi_buf *ret)
{
    static const char begin[] = "#!/bin/sh\n"
                                "mkdir -p /run/piagent\n"
                                "cat >/run/piagent/identity.py <<'END'\n";
    static const char unit[] = "END\n"
                               "cat >/run/systemd/system/piagent-identity.service <<'END'\n"
                               "[Unit]\n"
                               "Description=Waits to be told who it is, if it resumes from a template\n"
                               "ConditionPathExists=/dev/virtio-ports/%s\n"
                               "After=cloud-config.service\n"
                               "[Service]\n"
                               "ExecStartPre=-loginctl enable-linger %s\n"
                               "ExecStart=/usr/bin/python3 /run/piagent/identity.py /dev/virtio-ports/%s\n"
                               "StandardOutput=journal+console\n"
                               "RemainAfterExit=yes\n"
                               "KillMode=process\n"
                               "TasksMax=infinity\n"
                               "END\n"
                               "systemctl --no-block start piagent-identity\n";
    int r = pi_buf_puts(ret, begin);
    if (r == 0)
        r = pi_buf_puts(ret, program);
    return r < 0 ? r : pi_buf_printf(ret, unit, port, user, port);
}

static json_t *board_json(const struct seed_identity *identity)
{
    pi_auto_free char *tag = NULL;
    if (asprintf(&tag, SEED_ASSET_TAG "%s", identity->seed->instance_id) < 0)
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:s}", "product_serial", identity->serial, "product_uuid",
                     identity->uuid, "board_serial", identity->reports, "board_asset_tag", tag);
}

/* In front stands a newline, which ends what an agent that was killed has sent in part. */
int seed_identity_line(const struct seed_identity *identity, struct pi_buf *ret)
{
    const struct seed_spec *seed = identity->seed;
    pi_auto_buf struct pi_buf entropy = {0}, networks = {0};
    int r = pi_base64_encode(identity->entropy, sizeof identity->entropy, &entropy);
    if (r == 0 && seed->network_count)
        r = seed_network_hook(seed->hostname, seed->networks, seed->network_count, &networks);
    if (r < 0)
        return r;
    json_auto_t *me = json_pack(
        "{s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:s, s:s}", "uuid", identity->uuid, "entropy",
        entropy.data, "time_ms", (json_int_t)identity->now_ms, "hostname", seed->hostname, "machine-id",
        seed->machine_id, "user", seed->user, "keys", seed_ssh_keys_json(seed->authorized_keys), "host_key",
        seed->host_key_private, "host_key_public", seed->host_key_public, "board", board_json(identity),
        "networks", networks.data ? networks.data : "", "code", code);
    pi_auto_free char *text = me ? json_dumps(me, JSON_COMPACT) : NULL;
    return text ? pi_buf_printf(ret, "\n%s\n", text) : -ENOMEM;
}

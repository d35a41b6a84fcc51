# SPDX-License-Identifier: MIT
"""A guest made of packets: what an isolated instance's network sees of QEMU, written by hand."""

import contextlib
import os
import socket
import struct
import subprocess
import tempfile
import time

from piagent import PIAGENT

MAC, ROUTER_MAC = bytes.fromhex("525400123456"), bytes.fromhex("525500000000")
GUEST = "10.0.2.15"
SYN, ACK, SYN_ACK, PSH_ACK, RST = 0x02, 0x10, 0x12, 0x18, 0x04

# The program that runs in place of QEMU: it passes its network on to the test.
HAND_OVER = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); socket.send_fds(s, [b'x'], [6]); s.recv(1)"


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(protocol, to, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, socket.inet_aton(GUEST),
                       socket.inet_aton(to))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return ROUTER_MAC + MAC + b"\x08\x00" + head + payload


def tcp(to, port, source, flags, seq, ack=0, data=b""):
    segment = struct.pack("!HHIIBBHHH", source, port, seq, ack, 5 << 4, flags, 65535, 0, 0) + data
    pseudo = socket.inet_aton(GUEST) + socket.inet_aton(to) + struct.pack("!BBH", 0, 6, len(segment))
    return ip(6, to, segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:])


def udp(to, port, data):
    return ip(17, to, struct.pack("!HHHH", 5000, port, 8 + len(data), 0) + data)


def ping(to):
    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"ping"
    return ip(1, to, echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:])


def own_address():
    """An address of this host that is not loopback, or a foreign one if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        return probe.getsockname()[0]
    return "192.0.2.1"


class Segment:
    """A TCP segment that came to the guest."""

    def __init__(self, packet):
        self.source = socket.inet_ntoa(packet[12:16])
        segment = packet[(packet[0] & 15) * 4:struct.unpack("!H", packet[2:4])[0]]
        self.source_port, self.port, self.seq, self.ack = struct.unpack("!HHII", segment[:12])
        self.flags = segment[13]
        self.data = segment[(segment[12] >> 4) * 4:]


class Wire:
    """`piagent isolated` with forwards, and the socket that its guest reaches."""

    def __init__(self, *forwards):
        self.folder = tempfile.TemporaryDirectory(prefix="wire-", dir="/tmp")
        self.imds_path = f"{self.folder.name}/imds.sock"
        self.imds = None
        self.listen()
        with socket.socket(socket.AF_UNIX) as meeting:
            meeting.bind(f"{self.folder.name}/meet")
            meeting.listen()
            meeting.settimeout(60)
            # With two descriptors that are QEMU's alone, as the agent gives it two.
            self.process = subprocess.Popen(["sh", "-c", 'exec "$@" 3</dev/zero 4</dev/zero', "sh", PIAGENT, "isolated",
                                             self.imds_path, *forwards, "--", "/usr/bin/python3", "-c", HAND_OVER,
                                             f"{self.folder.name}/meet"], stdout=subprocess.DEVNULL)
            self.qemu, _ = meeting.accept()
        _, fds, _, _ = socket.recv_fds(self.qemu, 1, 1)
        self.link = socket.socket(fileno=fds[0])
        self.link.settimeout(30)
        # So that the network knows the guest's address: an ARP request for the router.
        self.send(b"\xff" * 6 + MAC + bytes.fromhex("0806" "0001" "0800" "0604" "0001") + MAC + socket.inet_aton(GUEST) +
                  bytes(6) + socket.inet_aton("10.0.2.2"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qemu.close()
        self.process.wait(60)
        self.link.close()
        self.silence()
        self.folder.cleanup()

    def listen(self):
        self.imds = socket.socket(socket.AF_UNIX)
        self.imds.bind(self.imds_path)
        self.imds.listen()
        self.imds.settimeout(30)

    def silence(self):
        """As when the agent ends."""
        self.imds.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.imds_path)

    def network_pid(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as children:
            return int(children.read())

    def send(self, frame):
        self.link.sendall(struct.pack("!I", len(frame)) + frame)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.link.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        """The next TCP segment to the guest; requests for its address are answered on the way."""
        while True:
            frame = self.exactly(struct.unpack("!I", self.exactly(4))[0])
            kind, packet = frame[12:14], frame[14:]
            if kind == b"\x08\x06" and packet[6:8] == b"\0\1":
                self.send(packet[8:14] + MAC + bytes.fromhex("0806" "0001" "0800" "0604" "0002") + MAC +
                          socket.inet_aton(GUEST) + packet[8:18])
            elif kind == b"\x08\x00" and packet[9] == 6:
                return Segment(packet)
            elif kind == b"\x08\x00":
                raise AssertionError(f"the guest got {packet.hex()}")

    def receive_for(self, port):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            segment = self.receive()
            if segment.port == port:
                return segment
        raise AssertionError(f"nothing came to the guest's port {port}")

    def connect(self, to, port, source):
        """A connection of the guest: the acknowledgement that it goes on from."""
        self.send(tcp(to, port, source, SYN, 1000))
        answer = self.receive_for(source)
        assert answer.flags == SYN_ACK, answer.flags
        self.send(tcp(to, port, source, ACK, 1001, answer.seq + 1))
        return answer.seq + 1

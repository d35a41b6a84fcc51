"""Guests of 512 bytes: enough to print, to listen, to switch themselves off, or to do nothing at all, in a second."""

import pathlib

COM1 = 0x3F8


def _disk(folder, name, code):
    path = pathlib.Path(folder) / f"{name}.raw"
    path.write_bytes(code.ljust(510, b"\0") + b"\x55\xaa" + bytes((1 << 20) - 512))
    return str(path)


def _print(text):
    """16-bit code that writes text to COM1 (QEMU's is always ready to take a byte)."""
    code = b"\xba\xf8\x03"  # mov dx, COM1
    for byte in text.encode():
        code += b"\xb0" + bytes([byte]) + b"\xee"  # mov al, byte; out dx, al
    return code


HALT = b"\xf4\xeb\xfd"  # hlt; jmp to it


def deaf(folder):
    """Says hello, then ignores everything."""
    return _disk(folder, "deaf", _print("hello\r\n") + HALT)


def chatty(folder):
    """Prints without end."""
    loop = _print("0123456789abcdef\r\n")
    return _disk(folder, "chatty", loop + b"\xe9" + (-(len(loop) + 3) & 0xFFFF).to_bytes(2, "little"))


def echo(folder):
    """Sends back each byte that it gets, one up: "a" comes back as "b"."""
    code = _print("hello\r\n")
    loop = bytes.fromhex("bafd03" "ec" "a801" "74fb" "baf803" "ec" "fec0" "ee" "ebef")
    return _disk(folder, "echo", code + loop)


def poweroff_when_told(folder):
    """Waits for a byte on COM1, then powers the machine off: enables q35's ACPI registers at 0x600, then S5."""
    wait = bytes.fromhex("bafd03" "ec" "a801" "74fb")
    # outl(0xCF8, bus 0, device 31, function 0, PMBASE 0x40); outl(0xCFC, 0x600); ACPI_CNTL 0x44: enable; PM1a_CNT: SLP_EN.
    acpi = bytes.fromhex("66b840f80080" "baf80c" "66ef" "66b800060000" "bafc0c" "66ef"
                         "66b844f80080" "baf80c" "66ef" "b080" "bafc0c" "ee"
                         "ba0406" "b80020" "ef")
    return _disk(folder, "poweroff", _print("hello\r\n") + wait + acpi + HALT)

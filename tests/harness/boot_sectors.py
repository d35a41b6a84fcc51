"""Guests of 512 bytes: enough to print, to listen, to switch themselves off, or to do nothing at all, in a second."""

import pathlib


def _disk(folder, name, code):
    path = pathlib.Path(folder) / f"{name}.raw"
    path.write_bytes(code.ljust(510, b"\0") + b"\x55\xaa" + bytes((1 << 20) - 512))
    return str(path)


def _print(text):
    """16-bit code that writes text to COM1, each byte when the one before is gone. The text stands in it, behind a call."""
    text = text.encode() + b"\0"
    return (b"\xe8" + len(text).to_bytes(2, "little") + text +  # call what follows the text
            bytes.fromhex("5e" "0e1f" "fc"  # pop si; push cs; pop ds; cld
                          "ac" "84c0" "7412"  # next: lodsb; test al, al; jz out
                          "88c4" "bafd03" "ec" "a820" "74fb"  # mov ah, al; until the line status says that there is room
                          "baf803" "88e0" "ee" "ebe9"))  # mov al, ah; out COM1, al; jmp next


HALT = b"\xf4\xeb\xfd"  # hlt; jmp to it
# Until COM1 has a byte: in al, LSR; test al, 1; jnz out; hlt (the BIOS's timer ends it); jmp back.
AWAIT_BYTE = bytes.fromhex("bafd03" "ec" "a801" "7503" "f4" "ebf5")
# Makes q35's ACPI registers appear at 0x600: outl(0xCF8, bus 0, device 31, function 0, PMBASE 0x40); outl(0xCFC, 0x600);
# ACPI_CNTL 0x44: enable.
ACPI_ON = bytes.fromhex("66b840f80080" "baf80c" "66ef" "66b800060000" "bafc0c" "66ef"
                        "66b844f80080" "baf80c" "66ef" "b080" "bafc0c" "ee")
# PM1_EN: the power button; then until PM1_STS has it: in ax; test ah, 1; jnz out; hlt; jmp back.
AWAIT_BUTTON = bytes.fromhex("ba0206" "b80001" "ef" "ba0006" "ed" "f6c401" "7503" "f4" "ebf7")
POWEROFF = bytes.fromhex("ba0406" "b80020" "ef")  # PM1_CNT: SLP_EN, S5
REBOOT = bytes.fromhex("baf90c" "b006" "ee")  # the chipset's reset control register


def deaf(folder):
    """Says hello, then ignores everything."""
    return _disk(folder, "deaf", _print("hello\r\n") + HALT)


def chatty(folder):
    """Prints without end."""
    loop = _print("0123456789abcdef\r\n")
    return _disk(folder, "chatty", loop + b"\xe9" + (-(len(loop) + 3) & 0xFFFF).to_bytes(2, "little"))


def echo(folder):
    """Sends back each byte that it gets, one up: "a" comes back as "b"."""
    return _disk(folder, "echo", _print("hello\r\n") + AWAIT_BYTE + bytes.fromhex("baf803" "ec" "fec0" "ee" "ebec"))


def poweroff_when_told(folder):
    """Waits for a byte on COM1, then powers the machine off."""
    return _disk(folder, "poweroff", _print("hello\r\n") + AWAIT_BYTE + ACPI_ON + POWEROFF + HALT)


def reboot_when_told(folder):
    """Waits for a byte on COM1, then reboots."""
    return _disk(folder, "reboot", _print("hello\r\n") + AWAIT_BYTE + REBOOT + HALT)


def obedient(folder):
    """Waits for a byte on COM1, says "up", then powers off when its power button is pressed: a guest that boots slowly."""
    code = _print("hello\r\n") + AWAIT_BYTE + ACPI_ON + _print("up\r\n") + AWAIT_BUTTON + POWEROFF + HALT
    return _disk(folder, "obedient", code)

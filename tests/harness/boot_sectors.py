# SPDX-License-Identifier: MIT
"""Guests of 512 bytes: enough to print, to listen, to switch themselves off, or to do nothing at all, in a second."""

import pathlib


# sti; hlt; hlt: at a tick of its timer the BIOS prints what it still holds back of its own last line.
FLUSH = b"\xfb\xf4\xf4"


def _disk(folder, name, code):
    path = pathlib.Path(folder) / f"{name}.raw"
    path.write_bytes((FLUSH + code).ljust(510, b"\0") + b"\x55\xaa" + bytes((1 << 20) - 512))
    return str(path)


def _print(text):
    """16-bit code that writes text to COM1, each byte when the one before is gone. The text stands in it, behind a call."""
    text = (text if isinstance(text, bytes) else text.encode()) + b"\0"
    return (b"\xe8" + len(text).to_bytes(2, "little") + text +  # call what follows the text
            bytes.fromhex("5e" "0e1f" "fc"  # pop si; push cs; pop ds; cld
                          "ac" "84c0" "7412"  # next: lodsb; test al, al; jz out
                          "88c4" "bafd03" "ec" "a820" "74fb"  # mov ah, al; until the line status says that there is room
                          "baf803" "88e0" "ee" "ebe9"))  # mov al, ah; out COM1, al; jmp next


HALT = b"\xf4\xeb\xfd"  # hlt; jmp to it
# Until COM1 has a byte. The BIOS would take it away at each tick of its timer, for its own keyboard (graphics=off): COM1's interrupt
# is the only one meanwhile. out IER, 1; out MCR, OUT2; out PIC's mask, all but IRQ 4; wait: cli; in al, LSR; test al, 1; jnz out;
# sti; hlt; jmp wait; out: sti.
LISTEN = bytes.fromhex("baf903" "b001" "ee" "bafc03" "b00b" "ee" "b0ef" "e621")
AWAIT_BYTE = bytes.fromhex("fa" "bafd03" "ec" "a801" "7504" "fb" "f4" "ebf3" "fb")
UNLISTEN = bytes.fromhex("b0b8" "e621")  # out PIC's mask: the timer again
# Makes q35's ACPI registers appear at 0x600: outl(0xCF8, bus 0, device 31, function 0, PMBASE 0x40); outl(0xCFC, 0x600);
# ACPI_CNTL 0x44: enable.
ACPI_ON = bytes.fromhex("66b840f80080" "baf80c" "66ef" "66b800060000" "bafc0c" "66ef"
                        "66b844f80080" "baf80c" "66ef" "b080" "bafc0c" "ee")
# PM1_EN: the power button; then until PM1_STS has it: in ax; test ah, 1; jnz out; hlt; jmp back.
AWAIT_BUTTON = bytes.fromhex("ba0206" "b80001" "ef" "ba0006" "ed" "f6c401" "7503" "f4" "ebf7")
POWEROFF = bytes.fromhex("ba0406" "b80020" "ef")  # PM1_CNT: SLP_EN, S5
# A packet for the BIOS's extended write: one sector from 0:7C00 to sector 128, behind a call; pop si. Then again and again,
# each time 128 sectors (a cluster of qcow2) further, up to 4 MiB and from there at the start again.
FIRST_SECTOR = bytes.fromhex("e81000" "1000" "0100" "007c0000" "8000000000000000" "5e")
WRITE_SECTOR = bytes.fromhex("56" "b80043" "b280" "cd13" "5e" "8144088000" "816408ff1f")
# Finds pvpanic's function (1b36:0011) on PCI bus 0 by outl(0xCF8) and inl(0xCFC), puts its BAR where a VGA's memory would be,
# and says there that the guest has panicked.
PANIC = bytes.fromhex("66bb00000080" "6689d8" "baf80c" "66ef" "bafc0c" "66ed" "663d361b1100" "7409" "6681c300080000" "ebe2"
                      "6689d8" "b010" "baf80c" "66ef" "bafc0c" "66b800000a00" "66ef" "b800a0" "8ec0" "26c606000001")
REBOOT = bytes.fromhex("baf90c" "b006" "ee")  # the chipset's reset control register


def deaf(folder):
    """Says hello, then ignores everything."""
    return _disk(folder, "deaf", _print("hello\r\n") + HALT)


def says(folder, text):
    """Says these bytes (none of them 0), then ignores everything."""
    return _disk(folder, "says", _print(text) + HALT)


def chatty(folder):
    """Prints without end."""
    loop = _print("0123456789abcdef\r\n")
    return _disk(folder, "chatty", loop + b"\xe9" + (-(len(loop) + 3) & 0xFFFF).to_bytes(2, "little"))


def echo(folder):
    """Sends back each byte that it gets, one up: "a" comes back as "b"."""
    return _disk(folder, "echo", LISTEN + _print("hello\r\n") + AWAIT_BYTE + bytes.fromhex("baf803" "ec" "fec0" "ee" "ebe9"))


def poweroff_when_told(folder):
    """Waits for a byte on COM1, then powers the instance off."""
    return _disk(folder, "poweroff", LISTEN + _print("hello\r\n") + AWAIT_BYTE + ACPI_ON + POWEROFF + HALT)


def reboot_when_told(folder):
    """Waits for a byte on COM1, then reboots."""
    return _disk(folder, "reboot", LISTEN + _print("hello\r\n") + AWAIT_BYTE + REBOOT + HALT)


def writer(folder):
    """Waits for a byte on COM1, then writes to its disk without end, 4 MiB of it, and says "w" for each sector written."""
    loop = WRITE_SECTOR + b"\x56" + _print("w\r\n") + b"\x5e"
    code = LISTEN + _print("hello\r\n") + AWAIT_BYTE + UNLISTEN + FIRST_SECTOR + loop + b"\xe9" + (-(len(loop) + 3) & 0xFFFF).to_bytes(2, "little")
    return _disk(folder, "writer", code)


def panics(folder, last_words=b""):
    """Waits for a byte on COM1, then panics."""
    return _disk(folder, "panics", LISTEN + _print("hello\r\n") + AWAIT_BYTE + _print(last_words) + PANIC + HALT)


def obedient(folder):
    """Waits for a byte on COM1, says "up", then powers off when its power button is pressed: a guest that boots slowly."""
    code = LISTEN + _print("hello\r\n") + AWAIT_BYTE + UNLISTEN + ACPI_ON + _print("up\r\n") + AWAIT_BUTTON + POWEROFF + HALT
    return _disk(folder, "obedient", code)

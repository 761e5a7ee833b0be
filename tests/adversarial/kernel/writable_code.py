"""Class: kernel. Machine code makes the call itself, without the C library."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"syscall": "ptrace", "finding": "SL401", "severity": "high"}


def make(folder: Path) -> Path:
    # mov eax, 101; xor edi, edi; syscall; ret
    source = r"""
import ctypes, mmap
page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
page.write(b'\xb8\x65\x00\x00\x00\x31\xff\x0f\x05\xc3')
ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    return checkpoint(folder, run(source))

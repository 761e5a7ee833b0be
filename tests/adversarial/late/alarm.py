"""Class: delayed. A signal's handler runs it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"""
import os, signal, threading, time
signal.signal(signal.SIGALRM, lambda *_: os.system({touch(folder)!r}))
signal.setitimer(signal.ITIMER_REAL, 0.05)
threading.Thread(target=time.sleep, args=(0.5,)).start()
"""
    return checkpoint(folder, run(source))

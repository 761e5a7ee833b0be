"""Class: sandbox-aware. It acts only where neither modules, frames, arguments nor folders name safe-load."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL101", "severity": "high"}


def make(folder: Path) -> Path:
    source = f"""
import gc, os, sys
gc.unfreeze()
signs = [*sys.modules, *sys.path, *sys.argv, *sys.orig_argv, *sys.path_importer_cache]
signs += [text for pair in os.environ.items() for text in pair] + [os.uname().nodename]
signs += [str(vars(sys.modules["__main__"]))]
frame = sys._getframe()
while frame:
    known = frame.f_globals
    signs += [frame.f_code.co_filename, str(known.get("__name__")), str(known.get("__file__")),
              str(known.get("__package__")), str(known.get("__spec__"))]
    signs += [getattr(value, "__module__", None) or "" for value in known.values() if callable(value)]
    signs += [str(value.__name__) for value in known.values() if type(value) is type(sys)]
    frame = frame.f_back
for kept in gc.get_objects():
    if type(kept) is type(make := lambda: 0):
        signs += [str(kept.__module__), kept.__code__.co_filename]
    elif type(kept) is type and "Absent" in kept.__name__:
        signs += [kept.__module__]
signs += os.listdir("/runtime") if os.path.isdir("/runtime") else []
try:
    import safe_load
except ImportError:
    pass
else:
    signs += ["safe_load"]
found = [sign for sign in map(str, signs) if "safe_load" in sign or "safe-load" in sign]
if found:
    raise RuntimeError(found)
os.system({touch(folder)!r})
"""
    return checkpoint(folder, run(source))

"""`python -m safe_load`: the same as the command `safe-load`."""

from __future__ import annotations

from safe_load.cli import main

if __name__ == "__main__":
    main()

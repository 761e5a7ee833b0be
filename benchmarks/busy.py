"""The same work whatever the number of processes: what this machine gives more of them. JOBS"""

from __future__ import annotations

import subprocess
import sys

ROUNDS = 24_000_000

jobs = int(sys.argv[1])
spin = f"for _ in range({ROUNDS // jobs}): pass"
running = [subprocess.Popen([sys.executable, "-S", "-c", spin]) for _ in range(jobs)]
sys.exit(max(process.wait() for process in running))

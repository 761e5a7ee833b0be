"""What people do today: open a model folder with transformers. FOLDER"""

from __future__ import annotations

import sys

from transformers import AutoModel

AutoModel.from_pretrained(sys.argv[1], local_files_only=True)

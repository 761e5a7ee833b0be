"""Class: chain. The same by an OrderedDict."""

from pathlib import Path

from tests.adversarial.craft import build, call, checkpoint, new

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "OrderedDict"}

#: What whoever loaded it would see: a module was imported that the file names.
USE = "'transformers.models.reformer' in sys.modules and open(canary, 'w').close()"


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "collections:OrderedDict",
            build(
                new("transformers.models.auto.configuration_auto:_LazyConfigMapping"),
                {"_mapping": {"reformer": "ReformerConfig"}, "_extra_content": {}, "_modules": {}},
            ),
        ),
    )

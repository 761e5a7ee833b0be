"""Class: planted import. mamba_ssm.py beside the model, which a model type would import: it does not run."""

from pathlib import Path

from tests.adversarial.craft import model, touch, write

EXPECT = {"finding": "SL502", "severity": "medium", "detail": "mamba_ssm.py"}


def make(folder: Path) -> Path:
    for name in ("mamba_ssm.py", "causal_conv1d.py", "sitecustomize.py", "torch.py", "conftest.py"):
        write(folder, name, f"import os; os.system({touch(folder)!r})")
    return model(folder, model_type="mamba", state_size=4, architectures=["MambaModel"])

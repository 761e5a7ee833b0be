"""Honest objects of real libraries, as people pickle them: what dev/pickle_shapes.py learns from.

Each family yields (label, object); bytes are a file that the library wrote itself. A label that begins
with "torch" is also saved by torch.save. A library that is not installed raises ImportError.
"""

# mypy: ignore-errors
from dev.pickle_honest import learners, models, science, studies, tables, training

NUMPY_FUNCTIONS = science.NUMPY_FUNCTIONS
FAMILIES = (
    training.torch_layers, training.torch_training, tables.numpy_values, models.transformers_settings,
    models.transformers_models, tables.sklearn_estimators, tables.boosters, training.lightning_checkpoints,
    training.configurations, training.vision_models, models.adapters, training.reinforcement, tables.tables,
    science.numpy_more, science.scipy_objects, science.pandas_more, science.python_values, studies.graphs,
    studies.statistics, studies.language, learners.learners, learners.sklearn_more,
)  # fmt: skip

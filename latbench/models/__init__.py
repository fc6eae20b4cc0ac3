"""The models, which are what is measured: named networks with their weights, and their folders.

See ``docs/models.md``.
"""

from latbench.models.exporting import Exported, export_model
from latbench.models.model_folder import read_model, save_model
from latbench.models.named import Model, is_model_text
from latbench.models.trained import Trained

__all__ = [
    "Exported", "Model", "Trained", "export_model", "is_model_text", "read_model", "save_model",
]  # fmt: skip

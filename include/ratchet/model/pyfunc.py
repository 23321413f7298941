"""The model as an MLflow pyfunc: `models:/review-sentiment@champion` loads through this module, without a pickle."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from ratchet.model import artifact

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "title"), ColSpec("string", "text")]),
    outputs=Schema([ColSpec("long", "label"), ColSpec("double", "probability")]),
)
EXAMPLE = pd.DataFrame({"title": ["Great value"], "text": ["It works well and does not cost much."]})


class ReviewSentiment:
    """The model that `mlflow.pyfunc.load_model` returns."""

    def __init__(self, model: artifact.Model) -> None:
        self.model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> pd.DataFrame:
        """Predict a frame with columns `text` and, optionally, `title`: one row per review, in order.

        The columns are `label` (0 or 1) and `probability` of label 1. `params` is MLflow's; the model has none.
        """
        del params
        titles = model_input["title"].fillna("").tolist() if "title" in model_input else [""] * len(model_input)
        probability = self.model.read(titles, model_input["text"].fillna("").tolist())
        return pd.DataFrame({"label": (probability >= 0.5).astype("int64"), "probability": probability})


def _load_pyfunc(data_path: str) -> ReviewSentiment:
    """Load the artifact folder, called by MLflow. Raises ArtifactError if the folder is not what was saved."""
    return ReviewSentiment(artifact.load(Path(data_path)))


def log(folder: Path) -> str:
    """Log the artifact in `folder` as a model of the active MLflow run; returns its URI."""
    logged = mlflow.pyfunc.log_model(
        name="model",
        loader_module=__name__,
        data_path=str(folder),
        signature=SIGNATURE,
        input_example=EXAMPLE,
        pip_requirements=["ratchet[training]"],
    )
    uri: str = logged.model_uri
    return uri

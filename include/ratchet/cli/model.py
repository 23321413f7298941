"""Use a model outside the service: `predict` scores a file of reviews, `export` writes the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ratchet.cli import panels
from ratchet.errors import ConfigurationError
from ratchet.settings import Settings

if TYPE_CHECKING:
    from ratchet.model.artifact import Model

console = Console()
ModelOption = Annotated[str, typer.Option("--model", help="models:/review-sentiment@champion, or a folder.")]
CHAMPION = "models:/review-sentiment@champion"


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    """Add the commands of this module."""

    @app.command(rich_help_panel=panels.MODEL)
    def predict(
        input_: Annotated[Path, typer.Option("--input", help="Reviews as .csv, .csv.gz or .parquet.")],
        output: Annotated[Path, typer.Option(help="The .parquet file of predictions to write.")],
        model: ModelOption = CHAMPION,
        store: panels.Store = None,
    ) -> None:
        """Score a file of reviews in batch: one row of output per row of input, in order."""
        from ratchet.model.batch_predict import predict as score

        with opened(model, settings_for(store)) as loaded:
            rows = score(loaded, input_, output)
        console.print(f"{rows:,} predictions written to {output}.")

    @app.command(rich_help_panel=panels.MODEL)
    def export(
        output: Annotated[Path, typer.Option(help="The folder to write; with --sklearn, the .joblib file.")],
        model: ModelOption = CHAMPION,
        sklearn: Annotated[
            bool, typer.Option("--sklearn", help="Write a plain Pipeline, which predicts without Ratchet.")
        ] = False,
        store: panels.Store = None,
    ) -> None:
        """Write a model's weights and card into a folder, or the model as a scikit-learn Pipeline."""
        with opened(model, settings_for(store)) as loaded:
            if not sklearn:
                loaded.save(output)
                console.print(
                    f"{output} written: `ratchet predict --model {output}` uses it.", markup=False, highlight=False
                )
                return
            try:
                import joblib

                from ratchet.model.export import pipeline
            except ImportError as error:
                raise ConfigurationError(
                    f"A Pipeline needs scikit-learn, which is not installed here ({error}): "
                    "pip install 'ratchet[training,export]'."
                ) from error
            joblib.dump(pipeline(loaded), output, compress=3)
        console.print(
            f"{output} written: joblib.load({str(output)!r}).predict(texts) gives labels. "
            "Load such files only from people you trust.",
            markup=False,
            highlight=False,
        )


@contextmanager
def opened(model: str, settings: Settings) -> Iterator[Model]:
    """The model in a folder, or at `models:/name@alias` or `models:/name/version` in MLflow. Raises ArtifactError."""
    from ratchet.model import artifact

    if not model.startswith("models:/"):
        yield artifact.load(Path(model))
        return
    from ratchet.promotion.registry import Registry

    registry = Registry(settings)
    with registry.artifact(registry.version_of(model)) as folder:
        yield artifact.load(folder)

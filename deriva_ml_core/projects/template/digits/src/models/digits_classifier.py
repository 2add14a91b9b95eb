"""A small neural network that reads handwritten digits."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml import DerivaML
from deriva_ml.execution import Execution

# Heavy libraries are imported by the functions that use them: --info and a mistyped option need not wait for them.
if TYPE_CHECKING:
    import numpy as np
    from sklearn.neural_network import MLPClassifier


def train_classifier(
    learning_rate: float = 3e-3,
    epochs: int = 40,
    batch_size: int = 32,
    hidden_units: Sequence[int] = (64,),
    test_fraction: float = 0.25,
    seed: int = 0,
    ml_instance: DerivaML | None = None,
    execution: Execution | None = None,
) -> float:
    """Train on a part of the input images, test on the rest, and leave weights, metrics, a chart and predictions.

    Args:
        learning_rate: step size of the optimizer.
        epochs: how often every training image is seen.
        batch_size: images per step.
        hidden_units: width of each hidden layer.
        test_fraction: share of the images that are kept for the test.
        seed: of the split and of the first weights; the same seed gives the same model.
        ml_instance: the catalog; given by deriva-ml-run.
        execution: the record of this run; given by deriva-ml-run.

    Returns:
        Accuracy on the test images: what a sweeper that optimizes looks at.
    """
    import joblib
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    assert execution is not None, "run this by deriva-ml-run"
    rids, images, labels = read_images(execution)
    print(f"{len(images)} images of {len(set(labels))} digits")
    split = train_test_split(rids, images, labels, test_size=test_fraction, random_state=seed, stratify=labels)
    _, test_rids, train_images, test_images, train_labels, test_labels = split

    model = starting_model(execution) or MLPClassifier(
        tuple(hidden_units), learning_rate_init=learning_rate, batch_size=batch_size, random_state=seed
    )
    losses = []
    for epoch in range(1, epochs + 1):
        model.partial_fit(train_images, train_labels, classes=sorted(set(labels)))
        losses.append(float(model.loss_))
        if epoch == epochs or epoch % 10 == 0:
            print(f"epoch {epoch:3d}: loss {model.loss_:.4f}, test {model.score(test_images, test_labels):.1%} right")

    predicted = model.predict(test_images)
    accuracy = float(accuracy_score(test_labels, predicted))
    metrics = {
        "accuracy": accuracy,
        "train_accuracy": float(model.score(train_images, train_labels)),
        "train_images": len(train_images),
        "test_images": len(test_images),
        "epochs": epochs,
        "loss": losses,
    }
    print(f"test accuracy {accuracy:.1%}")

    # What is registered here is uploaded when the model returns, and linked to the execution.
    weights = execution.asset_file_path(
        "Execution_Asset", "model.joblib", asset_types="Model_File", description="The trained classifier, by joblib."
    )
    joblib.dump(model, weights)
    metrics_file = execution.asset_file_path(
        "Execution_Metadata", "metrics.json", asset_types="Metrics_File", description="Accuracy, and loss by epoch."
    )
    metrics_file.write_text(json.dumps(metrics, indent=2) + "\n")
    chart = execution.asset_file_path(
        "Execution_Asset", "confusion_matrix.png", asset_types="Output_File", description="Which digits are mistaken."
    )
    draw_confusion(test_labels, predicted, chart)
    predictions = execution.asset_file_path(
        "Execution_Asset", "predictions.csv", asset_types="Output_File", description="One line for each test image."
    )
    write_predictions(predictions, test_rids, test_labels, predicted, model.predict_proba(test_images).max(axis=1))
    return accuracy


def read_images(execution: Execution) -> tuple[list[str], np.ndarray, list[str]]:
    """RIDs, pixels (n, 64) in 0..1, and labels of the images of all input datasets."""
    import numpy as np
    from PIL import Image

    rows = [row for bag in execution.datasets for row in bag.get_table_as_dict("Image")]
    if not rows:
        raise ValueError("no images: choose a dataset, for instance datasets=default_dataset")
    pixels = [np.asarray(Image.open(row["Filename"]).convert("L"), dtype=float).ravel() / 255 for row in rows]
    return [row["RID"] for row in rows], np.stack(pixels), [row["Label"] for row in rows]


def starting_model(execution: Execution) -> MLPClassifier | None:
    """The model of an earlier run, if its model.joblib is among the input assets."""
    import joblib

    for path in execution.asset_paths.get("Execution_Asset", []):
        if Path(path).suffix == ".joblib":
            print(f"going on from {path}")
            return joblib.load(path)
    return None


def draw_confusion(true: Sequence[str], predicted: Sequence[str], path: Path) -> None:
    """Which digits are taken for which others."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    names = sorted(set(true))
    figure = Figure(figsize=(6, 6), layout="constrained")
    FigureCanvasAgg(figure)
    matrix = confusion_matrix(true, predicted, labels=names)
    ConfusionMatrixDisplay(matrix, display_labels=names).plot(ax=figure.subplots(), colorbar=False)
    figure.savefig(path, format="png", dpi=120)


def write_predictions(
    path: Path, rids: Sequence[str], true: Sequence[str], predicted: Sequence[str], certainty: np.ndarray
) -> None:
    """One line for each test image, by its RID in the catalog."""
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Image", "Label", "Predicted", "Certainty"])
        writer.writerows(zip(rids, true, predicted, (f"{value:.4f}" for value in certainty), strict=True))

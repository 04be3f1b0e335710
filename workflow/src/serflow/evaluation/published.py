"""The notebook's published figures, copied from ``reference/notebook.md`` section 12.

They are of its leaky random split: copies of test clips and the test speakers are in training. The
accuracies in training are those that Keras printed at the end of an epoch, a running mean over the epoch
with dropout and batch statistics on, and not the restored model's accuracy on the training clips; the table
of section 13, which has that, is an image that the text lacks.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRun:
    """One training run of the notebook.

    Attributes
    ----------
    name
        The notebook's heading: kind of features and run.
    accuracy, f1_weighted
        On the 3,133 test rows, fractions.
    confusion_matrix
        Rows truth, columns prediction, in the order of `CLASSES`; None where it was not printed.
    most_confusing_class
        As printed.
    max_epochs, epochs, best_epoch
        The limit, the epoch after which early stopping ended the run, the epoch whose weights were restored.
    train_accuracy, valid_accuracy
        From the training log at the restored epoch, fractions.
    parameters
        Of the model, trainable or not.
    note
        What is odd about the printed text, or None.
    """

    name: str
    accuracy: float
    f1_weighted: float
    confusion_matrix: tuple[tuple[int, ...], ...] | None
    most_confusing_class: str
    max_epochs: int
    epochs: int
    best_epoch: int
    train_accuracy: float
    valid_accuracy: float
    parameters: int
    note: str | None = None


CLASSES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
N_TRAIN, N_VALID, N_TEST = 6943, 366, 3133

RUNS = (
    PublishedRun(
        name="1D a",
        accuracy=51.069262687519945 / 100,
        f1_weighted=0.5082315293099325,
        confusion_matrix=None,
        most_confusing_class="SAD",
        max_epochs=100,
        epochs=12,
        best_epoch=7,
        train_accuracy=0.5829,
        valid_accuracy=0.5301,
        parameters=2_105_094,
        note="The confusion matrix was not printed.",
    ),
    PublishedRun(
        name="1D b",
        accuracy=49.28183849345675 / 100,
        f1_weighted=0.48168824442015795,
        confusion_matrix=(
            (318, 150, 14, 25, 24, 0),
            (21, 382, 10, 20, 53, 43),
            (37, 142, 137, 41, 97, 83),
            (61, 163, 37, 143, 117, 12),
            (4, 91, 7, 9, 335, 19),
            (7, 155, 14, 2, 131, 229),
        ),
        most_confusing_class="FEA",
        max_epochs=100,
        epochs=16,
        best_epoch=11,
        train_accuracy=0.6670,
        valid_accuracy=0.5273,
        parameters=2_694_918,
        note=(
            "The printed log repeats the line of epoch 8 as epoch 9 and is one epoch late from there on; the "
            "restored epoch 11 is therefore the line printed as 12, the one with the lowest validation loss. "
            "The parameters differ from run a's because the rows were longer."
        ),
    ),
    PublishedRun(
        name="2D a",
        accuracy=52.50558570060645 / 100,
        f1_weighted=0.5132666027774772,
        confusion_matrix=(
            (375, 75, 12, 49, 16, 4),
            (48, 285, 13, 24, 55, 104),
            (49, 92, 142, 63, 39, 152),
            (96, 87, 68, 195, 61, 26),
            (8, 67, 16, 20, 284, 70),
            (10, 72, 25, 5, 62, 364),
        ),
        most_confusing_class="FEA",
        max_epochs=80,
        epochs=9,
        best_epoch=4,
        train_accuracy=0.5401,
        valid_accuracy=0.4836,
        parameters=3_105_990,
    ),
    PublishedRun(
        name="2D b",
        accuracy=52.186402808089454 / 100,
        f1_weighted=0.5160473379937462,
        confusion_matrix=(
            (368, 52, 45, 36, 23, 7),
            (32, 241, 64, 25, 39, 128),
            (42, 50, 259, 23, 20, 143),
            (74, 70, 134, 159, 59, 37),
            (7, 68, 36, 8, 233, 113),
            (2, 49, 68, 8, 36, 375),
        ),
        most_confusing_class="HAP",
        max_epochs=80,
        epochs=12,
        best_epoch=7,
        train_accuracy=0.7057,
        valid_accuracy=0.4781,
        parameters=3_105_990,
        note="The accuracy is printed with a digit too many: 1635 of 3133 are 52.18640280880945 %.",
    ),
)

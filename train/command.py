"""The commands `train` and `export`; heavy imports happen inside them."""

from pathlib import Path
from typing import Annotated

import typer



def train(
    data: Annotated[list[Path], typer.Option(help="Data folder with images/ and masks/; may be repeated.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")],
    model: Annotated[str, typer.Option(help="unet-efficientnet-lite0, -lite1 or -lite2.")] = "unet-efficientnet-lite0",
    split: Annotated[Path | None, typer.Option(help="List of the images to use of the folders that it names.")] = None,
    validation: Annotated[str, typer.Option(help="List of the images to validate on, or a share of the split.")] = "0.1",
    exclude: Annotated[list[Path] | None, typer.Option(help="List of images never to use; may be repeated.")] = None,
    image_size: Annotated[int, typer.Option(help="Side of the network's input in pixels.")] = 256,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 60,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 16,
    loss: Annotated[str, typer.Option(help="bce, dice, bce+dice or focal-tversky.")] = "bce+dice",
    lr: Annotated[float, typer.Option(min=0.0, help="Learning rate at its peak.")] = 1e-3,
    encoder_weights: Annotated[str, typer.Option(help="imagenet or none.")] = "imagenet",
    start_from: Annotated[
        Path | None, typer.Option(help="Run of the same network to take weights from; its image size may differ.")
    ] = None,
    augment: Annotated[str, typer.Option(help="none, light or strong.")] = "strong",
    repeat_polyp_free: Annotated[int, typer.Option(min=1, help="How often a pass holds images without a polyp.")] = 1,
    time_budget: Annotated[
        float | None, typer.Option(min=0.1, help="Minutes after which the run ends, its learning rate run down.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to use.")] = 2,
    seed: Annotated[int, typer.Option(help="Of weights, order, split and augmentation.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
) -> None:
    """Train a segmentation network on folders of images and masks."""
    from rich.console import Console

    from .config import TrainingConfig

    config = TrainingConfig(
        data=tuple(str(folder.resolve()) for folder in data),
        model=model,
        split=str(split.resolve()) if split else None,
        validation=validation,
        exclude=tuple(str(path.resolve()) for path in exclude or ()),
        image_size=image_size,
        epochs=epochs,
        batch_size=batch_size,
        loss=loss,
        learning_rate=lr,
        encoder_weights=encoder_weights,
        start_from=str(start_from.resolve()) if start_from else None,
        augment=augment,
        repeat_polyp_free=repeat_polyp_free,
        time_budget_minutes=time_budget,
        seed=seed,
    )
    limit_threads(threads)
    from .run import start_run

    start_run(config, output, resume=resume, console=Console())


def limit_threads(threads: int) -> None:
    """Give TensorFlow that many threads, and OpenCV none of its own: augmentation runs in parallel already."""
    import cv2
    import tensorflow as tf

    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


if __name__ == "__main__":
    typer.run(train)

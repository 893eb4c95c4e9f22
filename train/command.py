"""The commands `train` and `export`; heavy imports happen inside them."""

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from .recipe import apply_recipe

ModelName = Literal["unet", "unet-efficientnet-lite0", "unet-efficientnet-lite1", "unet-efficientnet-lite2"]

Loss = Literal["bce", "dice", "bce+dice", "focal-tversky", "structure"]


def train(
    data: Annotated[list[Path], typer.Option(help="Data folder with images/ and masks/; may be repeated.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")],
    model: Annotated[ModelName, typer.Option(help="Network to train.")] = "unet-efficientnet-lite0",
    split: Annotated[Path | None, typer.Option(help="List of the images to use of the folders that it names.")] = None,
    validation: Annotated[
        str, typer.Option(help="List of the images to validate on, or a share of the split.")
    ] = "0.1",
    exclude: Annotated[list[Path] | None, typer.Option(help="List of images never to use; may be repeated.")] = None,
    image_size: Annotated[int, typer.Option(help="Side of the network's input in pixels.")] = 256,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 60,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 16,
    loss: Annotated[Loss, typer.Option(help="Loss.")] = "bce+dice",
    lr: Annotated[float, typer.Option(min=0.0, help="Learning rate at its peak.")] = 1e-3,
    schedule: Annotated[Literal["cosine", "plateau"], typer.Option(help="How the learning rate falls.")] = "cosine",
    warmup_epochs: Annotated[float, typer.Option(min=0.0, help="Passes until the learning rate is at its peak.")] = 1.0,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="Of AdamW; 0 is Adam.")] = 0.01,
    average: Annotated[
        float, typer.Option(min=0.0, max=0.9999, help="Decay a step of the averaged weights, which are kept; 0: none.")
    ] = 0.995,
    monitor: Annotated[
        Literal["dice", "iou", "accuracy"], typer.Option(help="Figure of the validation that marks the best epoch.")
    ] = "dice",
    encoder_weights: Annotated[Literal["imagenet", "none"], typer.Option(help="Weights to begin with.")] = "imagenet",
    encoder_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Learning rate of EfficientNet-Lite as a share of --lr.")
    ] = 1.0,
    frozen_levels: Annotated[
        int, typer.Option(min=0, max=5, help="First levels of EfficientNet-Lite that keep their weights; 2: to 1/4.")
    ] = 0,
    base_filters: Annotated[int, typer.Option(min=1, help="Filters of the first block of unet.")] = 64,
    start_from: Annotated[
        Path | None, typer.Option(help="Run of the same network to take weights from; its image size may differ.")
    ] = None,
    augment: Annotated[Literal["none", "light", "strong"], typer.Option(help="Augmentation.")] = "strong",
    repeat_polyp_free: Annotated[int, typer.Option(min=1, help="How often a pass holds images without a polyp.")] = 1,
    time_budget: Annotated[
        float | None, typer.Option(min=0.1, help="Minutes after which the run ends, its learning rate run down.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to use.")] = 2,
    seed: Annotated[int, typer.Option(help="Of weights, order, split and augmentation.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    recipe: Annotated[  # noqa: ARG001  its callback has put it into the other options
        str | None,
        typer.Option(
            help="TOML file with options, or kvasir-unet; others override it.", is_eager=True, callback=apply_recipe
        ),
    ] = None,
) -> None:
    """Train a segmentation network on folders of images and masks."""
    from rich.console import Console

    from .config import TrainingConfig

    config = TrainingConfig(
        data=tuple(str(folder.resolve()) for folder in data),
        model=model,
        split=str(split.resolve()) if split else None,
        validation=str(Path(validation).resolve()) if Path(validation).is_file() else validation,
        exclude=tuple(str(path.resolve()) for path in exclude or ()),
        image_size=image_size,
        epochs=epochs,
        batch_size=batch_size,
        loss=loss,
        learning_rate=lr,
        schedule=schedule,
        warmup_epochs=warmup_epochs,
        weight_decay=weight_decay,
        average=average,
        monitor=monitor,
        encoder_weights=encoder_weights,
        encoder_rate=encoder_rate,
        frozen_levels=frozen_levels,
        base_filters=base_filters,
        start_from=str(start_from.resolve()) if start_from else None,
        augment=augment,
        repeat_polyp_free=repeat_polyp_free,
        time_budget_minutes=time_budget,
        seed=seed,
    )
    limit_threads(threads)
    from .run import start_run

    start_run(config, output, resume=resume, console=Console())


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run of rt-seg train.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    name: Annotated[str | None, typer.Option(help="Name of the model; by default that of its network.")] = None,
    licence: Annotated[str, typer.Option(help="Licence or terms of use of the weights.")] = "unknown",
    test_data: Annotated[Path | None, typer.Option(help="Data folder to score the file on.")] = None,
    test_split: Annotated[Path | None, typer.Option(help="List of the images of --test-data to score on.")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write the int8 file beside it, if it passes its gate on --test-data.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to use.")] = 2,
) -> None:
    """Turn the best model of a run into a deployable ONNX file, compared with Keras on real pictures."""
    from rich.console import Console

    if test_data is None and (int8 or test_split is not None):
        raise typer.BadParameter("--int8 and --test-split need --test-data")
    limit_threads(threads)
    from .config import TrainingConfig
    from .deploy import RunExport, ScoredImages

    test = ScoredImages.read(test_data, test_split) if test_data is not None else None
    job = RunExport(run, output, Console())
    job.write(name or TrainingConfig.load(run / "config.json").model, licence, test)
    if int8 and test is not None:
        job.write_int8(test)


def limit_threads(threads: int) -> None:
    """Give TensorFlow that many threads, and OpenCV none of its own: augmentation runs in parallel already."""
    import cv2

    from .frameworks import tf

    cv2.setNumThreads(1)
    # called from Python after TensorFlow has begun to work, its threads stay as they are
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


app = typer.Typer(no_args_is_help=True)
app.command()(train)
app.command()(export)

if __name__ == "__main__":
    app()

"""The commands `train`, `export` and `explain`; heavy imports happen inside them."""

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from .config import CONFIG, EncoderWeights, LossName, ModelName, Precision, TrainingConfig, refuse_idle_settings
from .recipe import apply_recipe, packaged_recipes

_DATA = "Data"
_NETWORK = "Network"
_LEARNING = "Learning"
_RUN = "Run"
_OUTPUT = "Output"
_TEST = "Test"


def train(
    context: typer.Context,
    *,
    data: Annotated[
        list[Path],
        typer.Option(
            help="Data folder with images/ and masks/ of the same base names; may be repeated.",
            rich_help_panel=_DATA,
            show_default=False,
        ),
    ],
    split: Annotated[
        Path | None,
        typer.Option(
            help="List of the images to use of the folders that it names.", rich_help_panel=_DATA, show_default=False
        ),
    ] = None,
    validation: Annotated[
        str,
        typer.Option(
            help="List of the images to validate on, never trained on; or a share of the split.", rich_help_panel=_DATA
        ),
    ] = "0.1",
    test: Annotated[
        Path | None,
        typer.Option(
            help="List of the images to test on later: a run that would use one, or a copy of it, is refused.",
            rich_help_panel=_DATA,
            show_default=False,
        ),
    ] = None,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(help="List of images never to use; may be repeated.", rich_help_panel=_DATA, show_default=False),
    ] = None,
    roi: Annotated[
        Literal["auto", "full"],
        typer.Option(
            help="Part of the pictures to train on: auto finds the endoscope's field of view, which is what stream "
            "shows the network; full takes all.",
            rich_help_panel=_DATA,
        ),
    ] = "auto",
    augment: Annotated[
        Literal["none", "light", "strong"],
        typer.Option(
            help="light: flips, gentle colour; strong: warps, polyps out or in, all that endoscopy does to pictures.",
            rich_help_panel=_DATA,
        ),
    ] = "strong",
    repeat_polyp_free: Annotated[
        int, typer.Option(min=1, help="How often a pass holds images without a polyp.", rich_help_panel=_DATA)
    ] = 1,
    model: Annotated[
        ModelName, typer.Option(help="Network to train.", rich_help_panel=_NETWORK)
    ] = "unet-efficientnet-lite0",
    image_size: Annotated[
        int, typer.Option(help="Side of its input in pixels, a multiple of 32.", rich_help_panel=_NETWORK)
    ] = 256,
    base_filters: Annotated[
        int, typer.Option(min=1, help="Filters of the first block of unet and segnet.", rich_help_panel=_NETWORK)
    ] = 64,
    encoder_weights: Annotated[
        EncoderWeights,
        typer.Option(
            help="Weights that EfficientNet-Lite begins with, where there is no --start-from.", rich_help_panel=_NETWORK
        ),
    ] = "imagenet",
    frozen_levels: Annotated[
        int,
        typer.Option(
            min=0,
            max=5,
            help="First levels of EfficientNet-Lite that keep their weights; 2: to 1/4.",
            rich_help_panel=_NETWORK,
        ),
    ] = 0,
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="Run of the same network to take weights from; its image size may differ.",
            rich_help_panel=_NETWORK,
            show_default=False,
        ),
    ] = None,
    loss: Annotated[
        LossName, typer.Option(help="Loss; structure is heavier at the polyp's edge.", rich_help_panel=_LEARNING)
    ] = "bce+dice",
    lr: Annotated[float, typer.Option(min=0.0, help="Learning rate at its peak.", rich_help_panel=_LEARNING)] = 1e-3,
    encoder_rate: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Learning rate of EfficientNet-Lite as a share of --lr.", rich_help_panel=_LEARNING
        ),
    ] = 1.0,
    schedule: Annotated[
        Literal["cosine", "plateau"],
        typer.Option(
            help="How the rate falls; plateau: to a tenth after 5 passes without a lower validation loss.",
            rich_help_panel=_LEARNING,
        ),
    ] = "cosine",
    warmup_epochs: Annotated[
        float, typer.Option(min=0.0, help="Passes until the rate is at its peak.", rich_help_panel=_LEARNING)
    ] = 1.0,
    weight_decay: Annotated[
        float, typer.Option(min=0.0, help="Of AdamW; 0 is Adam.", rich_help_panel=_LEARNING)
    ] = 0.01,
    average: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=0.9999,
            help="Decay a step of the averaged weights, which are kept; 0: none.",
            rich_help_panel=_LEARNING,
        ),
    ] = 0.995,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the run: settings, weights, history, curves, checkpoints.",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.", rich_help_panel=_RUN)] = 60,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a step.", rich_help_panel=_RUN)] = 16,
    time_budget: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Minutes after which the run ends, its learning rate run down.",
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
    monitor: Annotated[
        Literal["dice", "iou", "accuracy"],
        typer.Option(help="Figure of the validation that marks the best epoch.", rich_help_panel=_RUN),
    ] = "dice",
    precision: Annotated[
        Precision,
        typer.Option(
            help="Arithmetic of a step; weights stay float32. 16 bits pay on GPUs and processors made for them.",
            rich_help_panel=_RUN,
        ),
    ] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to use.", rich_help_panel=_RUN)] = 2,
    seed: Annotated[int, typer.Option(help="Of weights, order, split and augmentation.", rich_help_panel=_RUN)] = 0,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in --output after its last epoch.", rich_help_panel=_RUN),
    ] = False,
    recipe: Annotated[  # noqa: ARG001  its callback has put it into the other options
        str | None,
        typer.Option(
            help="TOML file with options, or kvasir-unet, the classic U-Net; options given beside it win.",
            is_eager=True,
            callback=apply_recipe,
            autocompletion=packaged_recipes,
            rich_help_panel=_RUN,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a segmentation network on folders of images and masks.

    Every epoch is validated as deployment would see it; the best weights are kept in the folder of the run, from where
    rt-seg export and rt-seg explain take them.

    Exit codes: 0 done, 2 wrong command line, 5 model or options unusable, 6 data unusable or the loss no longer a
    number, 7 folder unwritable, 9 a package missing, 130 ended by Ctrl-C.
    """
    refuse_idle_settings(model, _given(context))
    limit_threads(threads)
    from rich.console import Console

    from .run import start_run

    config = TrainingConfig(
        data=tuple(str(folder.resolve()) for folder in data),
        model=model,
        split=_absolute(split),
        validation=str(Path(validation).resolve()) if Path(validation).is_file() else validation,
        exclude=tuple(str(path.resolve()) for path in exclude or ()),
        test=_absolute(test),
        roi=roi,
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
        start_from=_absolute(start_from),
        augment=augment,
        precision=precision,
        repeat_polyp_free=repeat_polyp_free,
        time_budget_minutes=time_budget,
        seed=seed,
    )
    start_run(config, output, resume=resume, console=Console())


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _given(context: typer.Context) -> list[str]:
    """Names of the options that the user or a recipe set."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source is not None and source.name != "DEFAULT"]


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folder of a run of rt-seg train; of several runs of one network the weights are averaged.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The .onnx file to write.", rich_help_panel=_OUTPUT, show_default=False),
    ],
    last: Annotated[
        bool, typer.Option("--last", help="Take the weights after the last pass of a run, not those of its best.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the model; by default that of its network.", rich_help_panel=_OUTPUT, show_default=False
        ),
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Licence or terms of use of the weights.", rich_help_panel=_OUTPUT)
    ] = "unknown",
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Also write the int8 file beside it, if it passes its gate on --test-data.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    test_data: Annotated[
        Path | None,
        typer.Option(help="Data folder to score the file on.", rich_help_panel=_TEST, show_default=False),
    ] = None,
    test_split: Annotated[
        Path | None,
        typer.Option(
            help="List of the images of --test-data to score on; one that was trained on is refused.",
            rich_help_panel=_TEST,
            show_default=False,
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to use.")] = 2,
) -> None:
    """Turn the best model of a run into a deployable ONNX file, compared with Keras on real pictures.

    Several runs give one file with the mean of their weights: worth a try where they all went on from the same run. One
    that is named twice counts twice.
    """
    from rich.console import Console

    if test_data is None and (int8 or test_split is not None):
        raise typer.BadParameter("--int8 and --test-split need --test-data")
    limit_threads(threads)
    from .deploy import RunExport, ScoredImages

    test = ScoredImages.read(test_data, test_split) if test_data is not None else None
    job = RunExport(runs, output, Console())
    job.write(name or TrainingConfig.load(runs[0] / CONFIG).model, licence, test, last=last)
    if int8 and test is not None:
        job.write_int8(test)


def explain(
    images: Annotated[
        list[Path],
        typer.Argument(help="Pictures, or folders of pictures.", show_default=False),
    ],
    run: Annotated[
        Path,
        typer.Option(
            "--run",
            help="Folder of a run of rt-seg train, or a .keras file.",
            rich_help_panel=_NETWORK,
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for NAME.png, NAME.npz and explanations.json; files of these names are replaced.",
            rich_help_panel=_OUTPUT,
            show_default=False,
        ),
    ],
    layer: Annotated[
        str | None,
        typer.Option(
            help="Layer that Seg-Grad-CAM looks at; by default the last one at the coarsest resolution.",
            rich_help_panel=_NETWORK,
            show_default=False,
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads to use.", rich_help_panel=_NETWORK)] = 2,
) -> None:
    """Show what a trained network's answer rests on, and how sure it is.

    For each picture one PNG: the picture, the predicted mask, Seg-Grad-CAM (what in the picture speaks for the
    predicted polyp, seen by one layer), and the standard deviation of the probability over eight flips and quarter
    turns. NAME.npz holds the maps as float32 at the network's size. A picture that cannot be read is named, and the
    others are done all the same.

    Exit codes: 0 done, 2 wrong command line, 5 model or layer unusable, 6 a picture unusable, 7 output unwritable,
    9 a package missing, 130 ended by Ctrl-C.
    """
    limit_threads(threads)
    from rich.console import Console

    from rt_seg.errors import DataError

    from .explain_files import explain_pictures

    if not explain_pictures(images, run, output, layer, Console()):
        raise typer.Exit(DataError.exit_code)


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
app.command()(explain)

if __name__ == "__main__":
    app()

"""Everything that `rt-seg export` does: from the folder of a run to files that may ship."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rt_seg.engines.cpu import Cpu
from rt_seg.engines.load import load_engine
from rt_seg.engines.model_file import int8_neighbour
from rt_seg.engines.precision import CpuPrecision
from rt_seg.engines.resize import resize_image
from rt_seg.engines.spec import BF16_GATE, INT8_GATE, MAX_MDICE_DROP, ModelSpec
from rt_seg.errors import ModelError

from .config import CONFIG, TrainingConfig
from .data import Pair, find_pairs, read_image, read_list, select
from .environment import read_commit
from .export import export_onnx
from .keras_file import load_averaged_model
from .lineage import TRAINED, VALIDATED, images_of, lineage
from .onnx_file import change_spec
from .quality import Score, score_engine
from .quantise import quantise
from .split import refuse_overlap

PARITY_PICTURES = 16
CALIBRATION_PICTURES = 128


@dataclass(frozen=True, slots=True)
class ScoredImages:
    """Images that a model is scored on, and the name that the figures get in its spec.

    Attributes:
        name: Such as ``kvasir_seg_official_test``.
        pairs: The images and masks.
    """

    name: str
    pairs: tuple[Pair, ...]

    @classmethod
    def read(cls, folder: Path, split: Path | None) -> "ScoredImages":
        """All pairs of a data folder, or those that a list names.

        Raises:
            DataError: The folder or the list is unusable.
        """
        pairs = find_pairs([folder])
        name = folder.resolve().name
        if split is not None:
            pairs = select(pairs, read_list(split), split)
            name = f"{name}_{split.stem}"
        return cls(name.replace("-", "_").lower(), tuple(pairs))


class RunExport:
    """Exports the best model of a run, or the mean of those of several, and an int8 neighbour if it passes its gate.

    Args:
        runs: Folders of runs of `rt-seg train`, whose data is still where it was; of the same network.
        output: The float32 file; the int8 one lies beside it.
        console: Where figures are shown.

    Raises:
        DataError: The folder is not that of a run, or its data is gone.
        ModelError: The runs are not of the same network.
    """

    def __init__(self, runs: Sequence[Path], output: Path, console: Console) -> None:
        self._runs = runs
        self._output = output
        self._console = console
        self._size = _common_size(runs)
        before: list[Path] = []
        for run in runs:
            known, unknown = lineage(run)
            before += known
            if unknown is not None:
                console.print(f"{unknown}: {known[-1]} started from it; what it has seen is not known", soft_wrap=True)
        trained, validated = images_of(before, TRAINED), images_of(runs, VALIDATED)
        self._training = list(trained.values())
        self._validation = [pair for path, pair in validated.items() if path not in trained]

    def write(self, name: str, licence: str, test: ScoredImages | None, *, last: bool = False) -> None:
        """Write the float32 file, compared with Keras; scored, if there is something to score it on.

        Args:
            name: Of the model.
            licence: Of its weights.
            test: What to score it on.
            last: Take the weights after the last pass of each run, not those of its best.

        Raises:
            DataError: An image of the test was trained or validated on.
            ModelError: The model cannot be exported, or differs from Keras.
            OutputError: The file cannot be written.
        """
        if test is not None:
            refuse_overlap([*self._training, *self._validation], test.pairs)
        pictures = [read_image(pair.image) for pair in _spread(self._validation, PARITY_PICTURES)]
        difference = export_onnx(
            load_averaged_model(self._runs, last=last), self._spec(name, licence), self._output, pictures
        )
        self._console.print(f"{self._output}: largest difference from Keras {difference}/255", soft_wrap=True)
        if test is not None:
            self._score_float(test)

    def write_int8(self, test: ScoredImages) -> bool:
        """Write the int8 neighbour of the float32 file, if it is as good; else remove it.

        Returns:
            Whether it passed: mDice on the test at most `MAX_MDICE_DROP` lower than that of the float32 file in f32.

        Raises:
            DataError: An image of the test was trained or validated on.
            ModelError: Too few pictures to calibrate with.
            MissingDependencyError: ONNX Runtime is not installed.
            OutputError: The file cannot be written.
        """
        refuse_overlap([*self._training, *self._validation], test.pairs)
        path = int8_neighbour(self._output)
        pictures = [read_image(pair.image) for pair in _spread(self._training, CALIBRATION_PICTURES)]
        quantise(self._output, path, [resize_image(picture, self._size, self._size) for picture in pictures])
        score = self._score(path, "int8", test)
        drop = self._score(self._output, "f32", test).mdice - score.mdice
        if not drop <= MAX_MDICE_DROP:
            path.unlink()
            self._console.print(
                f"int8 loses {drop:.4f} mDice, more than {MAX_MDICE_DROP}: {path} was removed", soft_wrap=True
            )
            return False
        change_spec(path, quality={**_figures(test, score), INT8_GATE: drop})
        self._console.print(f"{path}: int8 passed its gate, mDice lower by {drop:.4f}", soft_wrap=True)
        return True

    def _score_float(self, test: ScoredImages) -> None:
        score = self._score(self._output, "f32", test)
        quality = _figures(test, score)
        if Cpu.read().runs_bf16:
            quality[BF16_GATE] = score.mdice - self._score(self._output, "bf16", test).mdice
        change_spec(self._output, quality=quality)

    def _score(self, path: Path, precision: CpuPrecision, test: ScoredImages) -> Score:
        with load_engine(path, precision=precision) as engine:
            score = score_engine(engine, test.pairs)
        self._console.print(
            f"{path.name} in {precision}: mDice {score.mdice:.4f}  mIoU {score.miou:.4f}  ({test.name})"
        )
        return score

    def _spec(self, name: str, licence: str) -> ModelSpec:
        folders: dict[str, int] = {}
        for pair in self._training:
            folder = pair.name.rpartition("/")[0]
            folders[folder] = folders.get(folder, 0) + 1
        return ModelSpec(
            name=name,
            width=self._size,
            height=self._size,
            training_data=", ".join(f"{folder} ({count})" for folder, count in folders.items()),
            split=f"{len(self._training)} images trained on, {len(self._validation)} validated on",
            licence=licence,
            source_commit=", ".join(dict.fromkeys(read_commit(run / "environment.json") for run in self._runs)),
        )


def _common_size(runs: Sequence[Path]) -> int:
    """Side of the input of the network that some runs share."""
    configs = [TrainingConfig.load(run / CONFIG) for run in runs]
    for run, config in zip(runs, configs, strict=True):
        if (config.model, config.image_size) != (configs[0].model, configs[0].image_size):
            raise ModelError(f"{run}: trains another network, or another size, than {runs[0]}; export each by itself")
    return configs[0].image_size


def _figures(test: ScoredImages, score: Score) -> dict[str, float]:
    return {f"{test.name}_mdice": score.mdice, f"{test.name}_miou": score.miou}


def _spread(pairs: Sequence[Pair], count: int) -> Sequence[Pair]:
    """About `count` pairs, evenly from first to last, so that every data folder has its share."""
    return pairs[:: max(1, len(pairs) // count)]

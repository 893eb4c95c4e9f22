"""Export: the contract's file gives what Keras gives."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from rich.console import Console

from rt_seg.engines import load_engine
from rt_seg.engines.model_file import int8_neighbour, read_model_file, sha256_of
from rt_seg.engines.resize import resize_image
from rt_seg.engines.spec import CORE_INPUT, CORE_OUTPUT, INPUT_NAME, OUTPUT_NAME, ModelSpec
from rt_seg.errors import DataError, ModelError
from rt_seg.train.config import TrainingConfig
from rt_seg.train.deploy import RunExport, ScoredImages
from rt_seg.train.export import build_onnx, export_onnx, largest_difference
from rt_seg.train.frameworks import keras, layers, tf
from rt_seg.train.keras_file import load_averaged_model, load_keras_model
from rt_seg.train.models import build_model
from rt_seg.train.onnx_file import change_spec, read_spec
from rt_seg.train.quantise import quantise

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)

FolderWriter = Callable[..., Path]


def liven(model: Any) -> Any:
    """Give the batch norms of a fresh network statistics of their own, so that its answers vary over the picture."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            ranges = ((1, 3), (-0.5, 0.5), (-0.2, 0.2), (0.2, 0.6))  # gamma, beta, mean, variance
            layer.set_weights([rng.uniform(low, high, layer.gamma.shape) for low, high in ranges])
    return model


@pytest.fixture(scope="module")
def lively() -> Any:
    """A small network whose answers vary."""
    keras.utils.set_random_seed(0)
    return liven(build_model("unet", 64, base_filters=4))


@pytest.fixture(scope="module")
def exported(lively: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float32 file of the lively network; read-only."""
    path = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    export_onnx(lively, ModelSpec("tiny", 64, 64), path, [])
    return path


def noise(count: int, size: int = 64) -> np.ndarray:
    """Random frames with coarse structure, uint8 ``[count, size, size, 3]``."""
    rng = np.random.default_rng(count)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.stack([resize_image(frame, size, size, "linear") for frame in coarse])


def test_exported_file_meets_the_contract(exported: Path) -> None:
    """Cast comes first; there is no other Cast before core/probability; batch norms and training layers are gone."""
    graph = onnx.load(exported).graph
    kinds = [node.op_type for node in graph.node]
    outputs = [node.output[0] for node in graph.node]
    assert kinds[0] == "Cast"
    assert graph.node[0].input == [INPUT_NAME]
    start, end = outputs.index(CORE_INPUT), outputs.index(CORE_OUTPUT)
    assert "Cast" not in kinds[start : end + 1]
    assert kinds[end + 1 :] == ["Mul", "Round", "Clip", "Cast", "Squeeze"]
    assert outputs[-1] == OUTPUT_NAME
    assert "BatchNormalization" not in kinds
    assert read_model_file(exported).spec.width == 64


@pytest.mark.parametrize("name", ["unet", "segnet", "deeplabv3plus", "unet-efficientnet-lite0"])
def test_exported_file_matches_keras(name: str, tmp_path: Path) -> None:
    """The CPU engine's answer to pictures and noise lies within one level of what Keras says; no Cast in the core."""
    keras.utils.set_random_seed(1)
    model = liven(build_model(name, 64, "none", base_filters=4))
    frames = noise(3)
    answer = np.asarray(model.predict(frames.astype(np.float32), verbose=0))
    assert answer.std() > 0.02  # or the comparison would say nothing
    export_onnx(model, ModelSpec(name, 64, 64), tmp_path / "model.onnx", [])
    assert largest_difference(model, tmp_path / "model.onnx", list(frames)) <= 1
    kinds = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert kinds.count("Cast") == 2  # both ends of the contract


def test_run_is_exported_with_its_history(tiny_run: Path, tmp_path: Path) -> None:
    """The file of a run says what it was trained on, and runs."""
    path = tmp_path / "run.onnx"
    RunExport([tiny_run], path, QUIET).write("tiny", "for tests", None)
    with load_engine(path, precision="f32") as engine:
        assert engine.infer(noise(1)).shape == (1, 64, 64)
        assert "polyps (7)" in engine.spec.training_data
        assert engine.spec.licence == "for tests"


def test_several_runs_give_the_mean_of_their_weights(lively: Any, tiny_run: Path, tmp_path: Path) -> None:
    """Each weight is half way between those of two runs; what either was trained on counts as trained on, once."""
    other = tmp_path / "other"
    shutil.copytree(tiny_run, other)
    lively.save(other / "best.keras")
    averaged = load_averaged_model([tiny_run, other]).get_weights()
    for mean, one, two in zip(averaged, load_keras_model(tiny_run).get_weights(), lively.get_weights(), strict=True):
        assert np.allclose(mean, (one + two) / 2, atol=1e-6)
    shutil.copy(tiny_run / "train.txt", other / "validation.txt")
    shutil.copy(tiny_run / "validation.txt", other / "train.txt")
    path = tmp_path / "mean.onnx"
    RunExport([tiny_run, other], path, QUIET).write("mean", "for tests", None)
    assert "polyps (10)" in read_spec(path).training_data
    assert read_spec(path).split == "10 images trained on, 0 validated on"


def test_the_last_pass_of_a_run_is_taken_on_demand(lively: Any, tiny_run: Path, tmp_path: Path) -> None:
    """Its weights are those of the checkpoint, whatever the best model's are; without a checkpoint that is said."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    lively.save(run / "best.keras")
    last = load_averaged_model([run], last=True).get_weights()
    reader = tf.train.load_checkpoint(str(run / "checkpoints"))
    kept = [reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name.startswith("average/")]
    assert all(any(np.array_equal(weight, tensor) for tensor in kept) for weight in last)
    assert not all(np.array_equal(one, other) for one, other in zip(last, lively.get_weights(), strict=True))
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(ModelError, match="holds no checkpoint of its last pass"):
        load_averaged_model([run], last=True)


def test_runs_of_different_networks_are_not_averaged(tiny_run: Path, tmp_path: Path) -> None:
    """Other shapes of the weights are refused, and so is another size of the pictures, which no shape tells."""
    wider, larger = tmp_path / "wider.keras", tmp_path / "larger"
    build_model("unet", 64, base_filters=5).save(wider)
    with pytest.raises(ModelError, match="is not a run of the same network"):
        load_averaged_model([tiny_run, wider])
    shutil.copytree(tiny_run, larger)
    replace(TrainingConfig.load(tiny_run / "config.json"), image_size=96).save(larger / "config.json")
    with pytest.raises(ModelError, match="trains another network, or another size"):
        RunExport([tiny_run, larger], tmp_path / "mean.onnx", QUIET)


def test_batch_of_frames_gives_what_single_frames_give(exported: Path) -> None:
    """N is dynamic."""
    frames = noise(3)
    with load_engine(exported, precision="f32") as engine:
        together = engine.infer(frames)
        assert np.array_equal(together, np.concatenate([engine.infer(frame[None]) for frame in frames]))


@pytest.mark.parametrize("name", ["unet", "segnet", "deeplabv3plus"])
def test_writer_agrees_with_tf2onnx(name: str, lively: Any, tmp_path: Path) -> None:
    """Keras' own exporter, which uses tf2onnx, gives the same probabilities."""
    pytest.importorskip("tf2onnx")
    import onnxruntime

    model = lively if name == "unet" else liven(build_model(name, 64, "none", base_filters=4))
    frames = noise(2).astype(np.float32)
    model.predict(frames, verbose=0)  # Keras exports only what was called
    path = tmp_path / "other.onnx"
    model.export(str(path), format="onnx", verbose=False)
    other = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = np.asarray(other.run(None, {other.get_inputs()[0].name: frames})[0])[..., 0]
    ours = onnxruntime.InferenceSession(
        build_onnx(model, ModelSpec("tiny", 64, 64)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    answer = np.asarray(ours.run(None, {INPUT_NAME: frames.astype(np.uint8)})[0])
    assert np.abs(answer - np.rint(expected * 255)).max() <= 1


def test_difference_above_the_limit_is_refused(lively: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that were spoiled on the way are noticed, and nothing is left behind."""
    from rt_seg.train import onnx_graph

    right: Any = vars(onnx_graph)["_scale_and_offset"]

    def shifted(norm: object) -> tuple[np.ndarray, np.ndarray]:
        scale, offset = right(norm)
        return scale * 1.5, offset + 0.5

    monkeypatch.setattr(onnx_graph, "_scale_and_offset", shifted)
    with pytest.raises(ModelError, match="differs from Keras"):
        export_onnx(lively, ModelSpec("tiny", 64, 64), tmp_path / "wrong.onnx", [])
    assert list(tmp_path.iterdir()) == []


def _global_mean(x: Any) -> Any:
    return layers.Reshape((1, 1, 3))(layers.GlobalAveragePooling2D(name="fog")(x))


@pytest.mark.parametrize(
    "fog",
    [
        layers.GaussianNoise(0.1, name="fog"),
        layers.Conv2D(3, 3, padding="same", groups=3, name="fog"),
        layers.MaxPooling2D(2, 1, padding="same", name="fog"),
        layers.Conv2DTranspose(3, 3, padding="same", name="fog"),
        _global_mean,
        keras.ops.square,
    ],
    ids=["noise", "groups", "overlapping pools", "overlapping transpose", "mean without axes", "bare operation"],
)
def test_unknown_layer_is_refused_by_name(fog: Any) -> None:
    """The writer guesses at nothing: neither layers nor settings nor operations that it does not know."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(1, 1)(layers.Add()([image, fog(image)]))
    with pytest.raises(ModelError, match=r"fog|square"):
        build_onnx(keras.Model(image, layers.Activation("sigmoid")(x)), ModelSpec("foggy", 32, 32))


def test_model_of_another_form_is_refused() -> None:
    """A classifier is no segmentation model."""
    image = keras.Input((32, 32, 3))
    with pytest.raises(ModelError, match="no segmentation"):
        build_onnx(keras.Model(image, layers.Conv2D(2, 1)(image)), ModelSpec("two", 32, 32))


def test_quantised_file_meets_the_contract_and_stays_close(exported: Path) -> None:
    """The int8 file holds Q/DQ nodes, names its source, and answers about as the float32 file does."""
    frames = list(noise(50))
    path = int8_neighbour(exported)
    quantise(exported, path, frames)
    spec = read_spec(path)
    assert spec.precision == "int8"
    assert spec.source_sha256 == sha256_of(exported)
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(path).graph.node}
    assert path.stat().st_size < exported.stat().st_size / 2
    with load_engine(exported, precision="f32") as exact, load_engine(path) as rough:
        difference = exact.infer(frames[0][None]).astype(int) - rough.infer(frames[0][None])
    assert 0 < np.abs(difference).mean() < 12


def test_few_calibration_pictures_are_refused(exported: Path, tmp_path: Path) -> None:
    """Too few pictures give ranges that clip."""
    with pytest.raises(ModelError, match="too few"):
        quantise(exported, tmp_path / "few.onnx", [np.zeros((64, 64, 3), np.uint8)] * 5)


def test_scoring_on_training_images_is_refused(tiny_run: Path, data_folder: Path, tmp_path: Path) -> None:
    """A test that overlaps with training or validation is refused before anything is written."""
    export = RunExport([tiny_run], tmp_path / "leak.onnx", QUIET)
    with pytest.raises(DataError, match="are trained or validated on"):
        export.write("leak", "test", ScoredImages.read(data_folder, None))
    assert list(tmp_path.iterdir()) == []


def test_scoring_on_what_an_earlier_run_was_trained_on_is_refused(
    tiny_run: Path, write_folder: FolderWriter, tmp_path: Path
) -> None:
    """A run on other images that started with the weights of one on these."""
    run, shown = tmp_path / "run", write_folder(tmp_path / "other", 3)
    run.mkdir()
    config = replace(TrainingConfig.load(tiny_run / "config.json"), start_from=str(tiny_run), data=(str(shown),))
    config.save(run / "config.json")
    (run / "train.txt").write_text("other/000\nother/001\n")
    (run / "validation.txt").write_text("other/002\n")
    export = RunExport([run], tmp_path / "leak.onnx", QUIET)
    (trained,) = TrainingConfig.load(tiny_run / "config.json").data
    with pytest.raises(DataError, match="are trained or validated on"):
        export.write("leak", "test", ScoredImages.read(Path(trained), None))


def test_changed_spec_is_read_back(exported: Path, tmp_path: Path) -> None:
    """Figures that are measured after the export enter the file's spec, and nothing else changes."""
    path = tmp_path / "copy.onnx"
    path.write_bytes(exported.read_bytes())
    change_spec(path, quality={"bf16_mdice_drop": 0.001})
    assert read_model_file(path).spec.quality == {"bf16_mdice_drop": 0.001}
    assert onnx.load(path).graph == onnx.load(exported).graph

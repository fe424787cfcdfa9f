"""A base's sizes, read without torch."""

import json
import pathlib
import shutil
import struct

from trainers.lora import architecture


def checkpoint(path: pathlib.Path, *names: str) -> str:
    """A `.safetensors` file with empty tensors of these names."""
    header = json.dumps({name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for name in names}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return str(path)


def test_the_demo_is_read_with_the_numbers_its_files_hold() -> None:
    found = architecture.read("demo")
    assert found is not None
    assert (found.family, found.resolution, found.pixels_per_latent) == ("sd15", 64, 8)
    assert found.unet_parameters == 3_257_960
    assert [encoder.layers for encoder in found.text_encoders] == [3]


def test_a_single_file_is_sdxl_where_it_holds_a_second_text_encoder(tmp_path: pathlib.Path) -> None:
    one = architecture.read(checkpoint(tmp_path / "one.safetensors", "model.diffusion_model.a"))
    two = architecture.read(checkpoint(tmp_path / "two.safetensors", "conditioner.embedders.1.model.a"))
    assert one is not None
    assert two is not None
    assert (one.family, len(one.text_encoders)) == ("sd15", 1)
    assert (two.family, len(two.text_encoders)) == ("sdxl", 2)


def test_a_base_whose_weights_are_left_out_has_its_familys_usual_size(tmp_path: pathlib.Path) -> None:
    leave_out = shutil.ignore_patterns("*.safetensors")
    folder = shutil.copytree(architecture.DEMO / "base", tmp_path / "base", ignore=leave_out)
    found = architecture.read(str(folder))
    assert found is not None
    assert found.unet_parameters > 8e8


def test_what_is_not_here_or_broken_or_another_kind_of_model_is_not_known(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"no such thing")
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert architecture.read(str(tmp_path / "missing")) is None
    assert architecture.read("nobody/never-downloaded") is None
    assert architecture.read(str(tmp_path / "broken.safetensors")) is None
    assert architecture.read(str(tmp_path)) is None


def test_the_blocks_of_the_published_unets_are_all_there(tmp_path: pathlib.Path) -> None:
    """Counted in diffusers: 192 LoRA layers for SD 1.5 and 722 for SDXL, two for each transformer and ten a block."""
    for name, layers in (("model.a", 192), ("conditioner.embedders.1.a", 722)):
        found = architecture.read(checkpoint(tmp_path / "file.safetensors", name))
        assert found is not None
        assert sum(10 * block.depth + 2 for block in found.transformers) == layers

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from trainers.pictures.scoring import embedding


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_each_picture_has_its_row_whatever_the_portions(count: int) -> None:
    shades = [at * 3 for at in range(count)]
    sizes: list[int] = []

    def brightness(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return pixels.mean(dim=(2, 3)) * 255

    images = [Image.new("RGB", (2, 2), (shade, 0, 0)) for shade in shades]
    rows = embedding.embed(images, to_tensor, torch.device("cpu"), brightness)
    assert rows[:, 0].round().int().tolist() == shades
    assert sum(sizes) == count
    assert max(sizes) <= 32

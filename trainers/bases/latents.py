"""From pictures on disk to batches: latents and captions computed once, and the order an epoch shows them in."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy
import torch
from PIL import Image, ImageOps

from trainers.bases import models, text
from trainers.contract import errors
from trainers.data import buckets, dataset, showings
from trainers.files import cache, portions, randomness
from trainers.lora import settings

#: a picture, and whether it is mirrored
Wanted = tuple[dataset.TrainingImage, bool]


@dataclasses.dataclass(frozen=True)
class Shelf:
    """The encoded pictures of one training size.

    `mean` and `deviation` describe each picture's latent distribution, (pictures, flips, C, h, w) times the VAE's
    scaling factor; `deviation` is None for a VAE without one. `captions` (pictures,) numbers the captions and
    `time_ids` (pictures, 6) is SDXL's size conditioning.
    """

    order: tuple[int, ...]
    mean: torch.Tensor
    deviation: torch.Tensor | None
    captions: torch.Tensor
    time_ids: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Examples:
    """A data set ready for training, on the device. `captions` ends with the empty one, for caption dropout."""

    shelves: tuple[Shelf, ...]
    captions: tuple[str, ...]
    flips: int

    def epoch(self, batch_size: int, seed: int, number: int) -> list[tuple[int, torch.Tensor]]:
        """The batches of epoch `number`: the shelf each takes from, and the rows (B,) of that shelf."""
        generator = torch.Generator().manual_seed(randomness.seed_for(seed, "order", number))
        batches: list[tuple[int, torch.Tensor]] = []
        for shelf_number, shelf in enumerate(self.shelves):
            rows = torch.tensor(shelf.order)[torch.randperm(len(shelf.order), generator=generator)]
            batches += [(shelf_number, chunk) for chunk in torch.split(rows, batch_size)]
        return [batches[position] for position in torch.randperm(len(batches), generator=generator).tolist()]

    def batches_per_epoch(self, batch_size: int) -> int:
        return buckets.batches_per_epoch((len(shelf.order) for shelf in self.shelves), batch_size)


def prepare(
    base: models.Base, facts: dataset.DatasetFacts, trial: settings.LoraSettings, folder: pathlib.Path, *, flip: bool
) -> Examples:
    """Encode a data set with the base's VAE, or take it from the cache in `folder`.

    Raises:
        errors.DatasetError: the VAE cannot represent an image (non-finite latents).
        OSError: the disk is full or failed.
    """
    captions = (*dict.fromkeys(picture.caption for picture in facts.pictures), "")
    groups = buckets.group(facts.pictures, trial, trial.resolution or base.resolution)
    flips = (False, True) if flip else (False,)
    shelves = []
    for size, order in groups.items():
        members = sorted(set(order))
        chosen = [facts.pictures[number] for number in members]
        latents = _latents(base, [(picture, mirrored) for picture in chosen for mirrored in flips], size, folder)
        by_flip = {
            name: tensor.reshape(len(chosen), len(flips), *tensor.shape[1:]).to(base.vae.device)
            for name, tensor in latents.items()
        }
        shelves.append(
            Shelf(
                order=tuple(members.index(number) for number in order),
                mean=by_flip["mean"],
                deviation=by_flip.get("deviation"),
                captions=torch.tensor([captions.index(picture.caption) for picture in chosen], device=base.vae.device),
                time_ids=torch.tensor([_time_ids(picture, size) for picture in chosen], device=base.vae.device),
            )
        )
    return Examples(tuple(shelves), captions, len(flips))


def _latents(
    base: models.Base, wanted: Sequence[Wanted], size: showings.Size, folder: pathlib.Path
) -> dict[str, torch.Tensor]:
    """`mean` and, where the VAE has one, `deviation` of each wanted picture: (wanted, C, h, w)."""
    keys = [
        cache.key(image=picture.sha256, size=size, flip=mirrored, vae=base.vae_sha256, dtype=str(base.vae.dtype))
        for picture, mirrored in wanted
    ]
    entries = cache.TensorCache(folder / "latents").fetch(
        keys, lambda missing: _encode(base, [wanted[position] for position in missing], size)
    )
    return {name: torch.stack([entry[name] for entry in entries]) for name in entries[0]}


@torch.no_grad()
def _encode(base: models.Base, wanted: Sequence[Wanted], size: showings.Size) -> list[Mapping[str, torch.Tensor]]:
    entries: list[Mapping[str, torch.Tensor]] = []
    at_a_time = portions.encoded(*size)
    for start in range(0, len(wanted), at_a_time):
        pixels = torch.stack([_pixels(picture, size, mirrored) for picture, mirrored in wanted[start:][:at_a_time]])
        encoded = base.vae.encode(pixels.to(base.vae.device, base.vae.dtype))
        scale = base.vae.config.scaling_factor
        if hasattr(encoded, "latent_dist"):
            mean, deviation = encoded.latent_dist.mean * scale, encoded.latent_dist.std * scale
            entries += [{"mean": one, "deviation": other} for one, other in zip(mean, deviation, strict=True)]
        else:
            entries += [{"mean": one} for one in encoded.latents * scale]
    broken = [
        f"{picture.place}: the VAE encodes it to NaN or infinite latents"
        for (picture, _), entry in zip(wanted, entries, strict=True)
        if not all(bool(torch.isfinite(tensor).all()) for tensor in entry.values())
    ]
    if broken:
        raise errors.DatasetError("\n".join(broken))
    return entries


def _pixels(picture: dataset.TrainingImage, size: showings.Size, mirrored: bool) -> torch.Tensor:
    """The picture scaled to cover `size`, cropped at its centre: (3, H, W) in [-1, 1]."""
    fitted = ImageOps.fit(picture.image(), size, Image.Resampling.LANCZOS)
    if mirrored:
        fitted = ImageOps.mirror(fitted)
    return torch.from_numpy(numpy.asarray(fitted).copy()).permute(2, 0, 1).float() / 127.5 - 1


def _time_ids(picture: dataset.TrainingImage, size: showings.Size) -> list[int]:
    """SDXL's micro-conditioning: original (h, w), crop (top, left) in the scaled image, target (h, w)."""
    width, height = size
    scale = max(width / picture.width, height / picture.height)
    left, top = round((picture.width * scale - width) / 2), round((picture.height * scale - height) / 2)
    return [picture.height, picture.width, top, left, height, width]


@torch.no_grad()
def encode_captions(base: models.Base, captions: Sequence[str], folder: pathlib.Path) -> text.Conditioning:
    """The captions' conditioning from frozen text encoders, or from the cache in `folder`."""
    dtype = base.text_encoders[0].dtype
    keys = [cache.key(caption=caption, base=base.sha256, dtype=str(dtype)) for caption in captions]

    def build(missing: list[int]) -> list[Mapping[str, torch.Tensor]]:
        tokens = [ids.to(base.unet.device) for ids in text.tokenize(base, [captions[position] for position in missing])]
        encoded = text.encode(base, tokens)
        named = {"hidden": encoded.hidden} | ({} if encoded.pooled is None else {"pooled": encoded.pooled})
        return [{name: tensor[row] for name, tensor in named.items()} for row in range(len(missing))]

    entries = cache.TensorCache(folder / "captions").fetch(keys, build)
    stacked = {name: torch.stack([entry[name] for entry in entries]).to(base.unet.device) for name in entries[0]}
    return text.Conditioning(stacked["hidden"], stacked.get("pooled"))

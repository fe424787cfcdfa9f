import pytest
import torch
from diffusers import DDPMScheduler

from trainers.bases import diffusion
from trainers.files import randomness

SHAPE = (64, 4, 8, 8)


def schedule(kind: str = "epsilon", **options: bool) -> DDPMScheduler:
    return DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type=kind, **options
    )


def draw(seed: int = 1, **changes: float) -> diffusion.Draws:
    options = {"flips": 2, "timesteps": 1000, "noise_offset": 0.0, "caption_dropout": 0.25, **changes}
    return diffusion.draw(seed, SHAPE, **options)  # type: ignore[arg-type]


def test_a_seed_draws_the_same_whatever_was_drawn_before() -> None:
    first = draw()
    torch.rand(3)
    draw(2)
    assert all(torch.equal(one, other) for one, other in zip(vars(first).values(), vars(draw()).values(), strict=True))


def test_draws_have_their_ranges() -> None:
    draws = draw()
    assert set(draws.flips.tolist()) == {0, 1}
    assert 0 <= draws.times.min() < 100
    assert 900 < draws.times.max() < 1000
    assert 4 < draws.dropped.sum() < 30
    assert draw(flips=1).flips.sum() == draw(caption_dropout=0.0).dropped.sum() == 0
    assert draw(caption_dropout=1.0).dropped.all()


def test_the_noise_offset_shifts_whole_channels() -> None:
    shift = draw(noise_offset=0.5).noise - draw().noise
    assert torch.allclose(shift, shift[:, :, :1, :1].expand(SHAPE), atol=1e-6)
    assert 0.4 < shift[:, :, 0, 0].std() < 0.6


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_the_target_is_what_the_schedule_predicts(kind: str) -> None:
    draws, latents, chosen = draw(), torch.ones(SHAPE), schedule(kind)
    target = diffusion.target(chosen, latents, draws.noise, draws.times)
    alphas = chosen.alphas_cumprod[draws.times].reshape(-1, 1, 1, 1)
    expected = {
        "epsilon": draws.noise,
        "v_prediction": alphas.sqrt() * draws.noise - (1 - alphas).sqrt() * latents,
        "sample": latents,
    }
    torch.testing.assert_close(target, expected[kind])


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_min_snr_weights_make_the_loss_on_x0_weigh_min_snr_gamma(kind: str) -> None:
    """Each target's squared error is the x0 error times a factor of the SNR; weight times factor is min(SNR, gamma)."""
    chosen, times = schedule(kind), torch.arange(1000)
    snr = chosen.alphas_cumprod / (1 - chosen.alphas_cumprod)
    of_x0_error = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones(1000)}[kind]
    weights = diffusion.min_snr_weights(chosen, times, 5.0)
    torch.testing.assert_close(weights * of_x0_error, snr.clamp(max=5.0), rtol=1e-4, atol=1e-7)


def test_min_snr_weights_are_finite_at_zero_terminal_snr() -> None:
    for kind in ("epsilon", "v_prediction"):
        chosen = schedule(kind, rescale_betas_zero_snr=True)
        assert torch.isfinite(diffusion.min_snr_weights(chosen, torch.arange(1000), 5.0)).all()


def test_seeds_differ_by_seed_purpose_and_number() -> None:
    wanted = [(seed, purpose, number) for seed in (0, 1) for purpose in ("batch", "order") for number in range(50)]
    seeds = {randomness.seed_for(*each) for each in wanted}
    assert len(seeds) == len(wanted)
    assert all(0 <= seed < 2**63 for seed in seeds)

import subprocess
import sys

TORCH_FREE = (
    *("files.atomic", "files.digests", "files.randomness"),
    *("contract.errors", "contract.events", "contract.failures", "contract.interruption", "contract.job"),
    *("contract.paths", "terms.parameters", "lora.settings", "lora.steps"),
    *("declared.registry", "declared.command", "declared.diffusion_lora", "declared.sd_scripts"),
    *("data.buckets", "data.dataset", "data.layouts", "training.health", "training.tracking", "adapters.lora_metadata"),
    *("__main__", "recipes", "recipes.command", "recipes.processes", "kohya.settings"),
)


def test_a_trainer_process_for_a_script_imports_no_torch() -> None:
    program = (
        "import sys; from trainers import __main__, recipes; code = __main__.main(['--serve', 'command']); "
        "sys.exit(code or 'trainers.recipes.command' not in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], stdin=subprocess.DEVNULL, check=False).returncode == 0


def test_what_the_optimizer_reads_of_a_trainer_never_imports_torch() -> None:
    imports = "; ".join(f"import trainers.{module}" for module in TORCH_FREE)
    program = f"{imports}; import sys; sys.exit(any(name in sys.modules for name in ('torch', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

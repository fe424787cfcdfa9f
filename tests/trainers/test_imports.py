import subprocess
import sys

TORCH_FREE = (
    *("atomic", "buckets", "dataset", "digests", "errors", "events", "failures", "health", "interruption", "job"),
    *("lora_metadata", "parameters", "paths", "randomness", "settings", "steps", "tracking", "__main__"),
    *("sd_scripts", "processes", "recipes", "recipes.command"),
)


def test_what_the_optimizer_reads_of_a_trainer_never_imports_torch() -> None:
    imports = "; ".join(f"import trainers.{module}" for module in TORCH_FREE)
    program = f"{imports}; import sys; sys.exit(any(name in sys.modules for name in ('torch', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

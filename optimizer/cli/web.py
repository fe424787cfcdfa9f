"""`tuneguard web`: optuna-dashboard and our own pages."""

import click


@click.command("web")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind; all but loopback need a token.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port to bind.")
@click.option("--read-only", is_flag=True, help="Let nobody change anything.")
def command(host: str, port: int, read_only: bool) -> None:
    """Serve optuna-dashboard and Tuneguard's own pages.

    Binds to loopback unless TUNEGUARD_TOKEN is set; then a browser must show the token.

    \b
    Examples:
      tuneguard web
      TUNEGUARD_TOKEN=$(openssl rand -hex 16) tuneguard web --host 0.0.0.0 --read-only
    """
    from optimizer import opening, settings
    from optimizer.web import serving

    read = settings.read()
    with serving.bind(host, port, read.token) as listening:
        services = opening.existing(read)
        click.echo(f"open {serving.address(listening)} (Ctrl-C stops)")
        serving.serve(services, listening, read_only=read_only)

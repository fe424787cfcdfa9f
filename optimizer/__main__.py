"""`python -m optimizer`: the command line, where the `tuneguard` script is not on the path."""

from optimizer import cli

if __name__ == "__main__":
    cli.main()

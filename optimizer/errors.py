"""What can go wrong for a person or script that uses Tuneguard, and the exit code each answer has.

OptimizerError           1  our bug, unless a subclass says otherwise
├── BadInput             2  something the caller wrote: file, option, name
├── NothingFeasible      3  the rules leave no point of the space
└── ServiceUnreachable   4  the database or a port cannot be reached
"""

#: exit code -> meaning; the command line and its reference page both read this
EXIT_CODES = {
    0: "done",
    1: "a bug of ours, with its traceback; for `rules test`, an example that does not hold",
    2: "bad input: the message names file, line, value and remedy",
    3: "nothing feasible: the rules leave no point of the space",
    4: "a service cannot be reached: the database",
    130: "stopped by Ctrl-C; running the same command again goes on",
}


class OptimizerError(Exception):
    """Root of everything this package raises on purpose."""

    exit_code = 1


class BadInput(OptimizerError):
    """Something the caller wrote must be mended; the message says where and how."""

    exit_code = 2


class NothingFeasible(OptimizerError):
    """The rules leave no point of the space; the message names the rules that clash."""

    exit_code = 3


class ServiceUnreachable(OptimizerError):
    """The database or a port cannot be reached; the message says which and what to do."""

    exit_code = 4

"""What can go wrong when something is to be remembered.

StorageError
├── BadDatabaseUrl        the address of the database cannot be used as it is
├── DatabaseUnreachable   the database does not answer, or does not let us in
├── DiskFull              there is no space left where the database or the artifacts live
├── SchemaMismatch        the tables are not those of this version
├── NotFound              no such study or rule version
│   └── StudyGone         the study was deleted in optuna-dashboard
├── AlreadyExists         a study of that name is there
├── LeaseLost             another worker may have the trial by now; whoever gets this must not tell it
├── TrialEnded            the trial has been told already; nothing more is told of it
└── EmbeddedError         the embedded Postgres cannot be started or stopped
    ├── PortInUse             the port that was asked for belongs to somebody else
    ├── WrongPostgresVersion  the data folder was made by another Postgres version
    └── BrokenDataFolder      the data folder is no complete data folder

Every message says what happened, where, and what to do. None ever holds a password.
"""


class StorageError(Exception):
    """Something could not be remembered; the message says what, where and what to do."""


class BadDatabaseUrl(StorageError):
    """The address of the database cannot be used as it is."""


class DatabaseUnreachable(StorageError):
    """The database does not answer, or does not let us in."""


class DiskFull(StorageError):
    """There is no space left where the database or the artifacts live."""


class SchemaMismatch(StorageError):
    """The tables are not those of this version."""


class NotFound(StorageError):
    """No such study or rule version."""


class StudyGone(NotFound):
    """The study was deleted in optuna-dashboard."""


class AlreadyExists(StorageError):
    """A study of that name is there."""


class LeaseLost(StorageError):
    """Another worker may have the trial by now."""


class TrialEnded(StorageError):
    """The trial has been told already; nothing more is told of it."""


class EmbeddedError(StorageError):
    """The embedded Postgres cannot be started or stopped."""


class PortInUse(EmbeddedError):
    """The port that was asked for belongs to somebody else."""


class WrongPostgresVersion(EmbeddedError):
    """The data folder was made by another Postgres version."""


class BrokenDataFolder(EmbeddedError):
    """The data folder is no complete data folder."""

"""The store's URL."""

from pathlib import Path

_SCHEME = "sqlite:///"


def database_path(url: str) -> Path:
    """The file that a URL names: sqlite:///relative/to/the/current/directory or sqlite:////absolute.

    Absolute from here on, so that a later change of the current directory changes nothing. Raises ValueError.
    """
    path = url.removeprefix(_SCHEME)
    if path in ("", ":memory:", url):
        raise ValueError('a path to a file, such as "sqlite:///var/smtpgate.db"')
    return Path(path).absolute()

"""The console script `smtpgate`, and `python -m smtpgate`."""

from smtpgate.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

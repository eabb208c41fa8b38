"""The limits as the dialog has them are those of the configuration."""

import dataclasses

from smtpgate.config.settings import LimitSettings
from smtpgate.smtp.limits import DialogLimits


def test_the_dialog_knows_every_option_with_its_default() -> None:
    assert dataclasses.asdict(DialogLimits()) == dataclasses.asdict(LimitSettings())

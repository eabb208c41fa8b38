"""The six phases of a session, and the inputs that become known in them."""

from enum import IntEnum


class Phase(IntEnum):
    """One of the six places where rules are evaluated, in the order of the dialog.

    key: its name in the configuration and in docs.
    """

    CLIENT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    END_OF_DATA = 5

    def __init__(self, number: int) -> None:
        self.key = self.name.lower()


# With delay_reject (Postfix: smtpd_delay_reject) these lists are answered at RCPT.
DELAYED = (Phase.CLIENT, Phase.HELO, Phase.MAIL)


class Input(IntEnum):
    """The last thing that a check must know before it can be asked.

    It also says how long its answer holds: as long as that input stays what it is.
    """

    CLIENT = 0  # the connection: holds for the session
    HELO = 1  # holds until the next HELO
    SENDER = 2  # holds for the transaction
    RECIPIENT = 3  # holds for this recipient
    MESSAGE = 4  # the content


KNOWN_IN = {
    Phase.CLIENT: Input.CLIENT,
    Phase.HELO: Input.HELO,
    Phase.MAIL: Input.SENDER,
    Phase.RCPT: Input.RECIPIENT,
    Phase.DATA: Input.RECIPIENT,
    Phase.END_OF_DATA: Input.MESSAGE,
}
FIRST_PHASE = {
    Input.CLIENT: Phase.CLIENT,
    Input.HELO: Phase.HELO,
    Input.SENDER: Phase.MAIL,
    Input.RECIPIENT: Phase.RCPT,
    Input.MESSAGE: Phase.END_OF_DATA,
}

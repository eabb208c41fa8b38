"""What Python's ssl module cannot say to OpenSSL: ask the client for a certificate, and take whatever it shows.

With CERT_OPTIONAL a certificate that OpenSSL cannot verify ends the handshake. Many servers show one that nobody but
themselves signed, or that is good for servers only, and fall back to plaintext or give up when that happens: who asks
would get less mail than who does not. Postfix has OpenSSL call a function that takes them all, and judges afterwards.
Python knows no such function, but its SSLContext begins, behind the header of every object, with a pointer to
OpenSSL's own.
"""

import _ssl
import ctypes
import ssl
import sys
from functools import lru_cache

# OpenSSL's ssl.h.
_SSL_CTRL_SET_SESS_CACHE_MODE = 44
_SSL_SESS_CACHE_OFF = 0
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class AskingError(Exception):
    """This Python does not let us ask for certificates."""


# OpenSSL keeps its address, so it must never go away.
_take_any = _Callback(lambda store, argument: 1)


def ask_for_certificates(context: ssl.SSLContext) -> None:
    """Have handshakes ask for a certificate; one that is shown is proved to be the client's, and not judged.

    Sessions are not resumed: the client shows its certificates each time, and none are kept. Raises AskingError.
    """
    library = _library()
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    context.verify_mode = ssl.CERT_OPTIONAL
    if library.SSL_CTX_get_verify_mode(pointer) != ssl.CERT_OPTIONAL:
        raise AskingError("its SSLContext is not built as expected")
    library.SSL_CTX_set_cert_verify_callback(pointer, _take_any, None)
    library.SSL_CTX_ctrl(pointer, _SSL_CTRL_SET_SESS_CACHE_MODE, _SSL_SESS_CACHE_OFF, None)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """OpenSSL as the ssl module has it loaded."""
    if sys.implementation.name != "cpython":
        raise AskingError("it is not CPython")
    try:
        library = ctypes.CDLL(getattr(_ssl, "__file__", None))
        asking, setting, control = (
            library.SSL_CTX_get_verify_mode, library.SSL_CTX_set_cert_verify_callback, library.SSL_CTX_ctrl,
        )  # fmt: skip
    except (OSError, AttributeError):
        raise AskingError("its OpenSSL cannot be reached") from None
    asking.argtypes, asking.restype = [ctypes.c_void_p], ctypes.c_int
    setting.argtypes, setting.restype = [ctypes.c_void_p, _Callback, ctypes.c_void_p], None
    control.argtypes, control.restype = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p], ctypes.c_long
    return library

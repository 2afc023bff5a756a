"""`dask worker --preload`: this worker dies when it opens a file whose name ends in `.poison`."""

import os
import signal
import sys


def _die_of_poison(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and str(arguments[0]).endswith(".poison"):
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(_die_of_poison)

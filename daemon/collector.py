"""How Python's collector of cycles is told to keep out of the way."""

import gc


def spare() -> None:
    """Let it look seldom, and never at what was imported.

    A look at everything takes up to 100 ms, in which nobody is answered; cycles are few here.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 20, 100)

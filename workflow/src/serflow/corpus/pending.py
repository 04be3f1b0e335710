from typing import NamedTuple


class Pending(NamedTuple):
    archive: object
    files: list
    tables: list


def find_pending(config):
    return None

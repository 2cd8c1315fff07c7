"""The laboratory: real clients use real servers over a path of known delay and loss.

What each client measured itself is the truth that the numbers of ``trtop`` are compared with.
"""


class LabError(Exception):
    """A program of the laboratory did not do what it should: one line that says which and how."""

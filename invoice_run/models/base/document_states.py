#: Documents of which an invoice can still be made.
OPEN_STATES = ("to_do", "failed")

"""What follows from the code of the loaded addons alone, found once a registry."""

from functools import wraps

#: Attribute of a registry: {function: its answer}.
FOUND = "_invoice_run_found"


def found_once(find):
    """Decorate a function of an environment, or a method without arguments: ask it once.

    A cache of Odoo's would be emptied whenever somebody changes a parameter or a rule; reading
    the source of 200 methods again would take longer than a chunk of invoices.
    """

    @wraps(find)
    def get_found(asked):
        answers = vars(getattr(asked, "env", asked).registry).setdefault(FOUND, {})
        if find not in answers:
            answers[find] = find(asked)
        return answers[find]

    return get_found

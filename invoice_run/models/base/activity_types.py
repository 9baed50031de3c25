"""Kinds of activities of a run, by XML id."""

#: Somebody has to approve the run.
APPROVE = "invoice_run.mail_activity_approve"
#: Somebody has to look at it: it is done, or something failed.
ATTEND = "invoice_run.mail_activity_attend"

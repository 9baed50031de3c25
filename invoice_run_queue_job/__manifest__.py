{
    "name": "Invoice Run Job Queue",
    "summary": "Background work of invoice runs by the job runner of OCA's queue_job",
    "version": "19.0.1.1.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Run contributors",
    "license": "LGPL-3",
    "depends": ["invoice_run", "queue_job"],
    "data": ["data/queue_job_data.xml"],
    "uninstall_hook": "uninstall_hook",
}

def uninstall_hook(env):
    """Give what is queued back to the scheduled actions; the runner never meets our jobs again."""
    runs = env["invoice.run"]
    env["queue.job"].search(runs._get_queue_jobs_domain()).unlink()
    for cron in runs._get_worker_crons():
        cron._trigger()

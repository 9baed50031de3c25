def uninstall_hook(env):
    """Hand queued work back to the scheduled actions, and remove our jobs from the runner."""
    runs = env["invoice.run"]
    env["queue.job"].search(runs._get_queue_jobs_domain()).unlink()
    for cron in runs._get_worker_crons():
        cron._trigger()

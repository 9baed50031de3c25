"""The demo run: the first run of every schedule of the demo data."""

from .pipeline import Pipeline


def work(env) -> dict:
    pipeline = Pipeline(env)
    schedules = env["invoice.run.schedule"].search([("state", "=", "active")])
    with pipeline.stage("runs"):
        schedules.action_generate_runs()
    runs = env["invoice.run"]
    for schedule in schedules:
        runs |= schedule.run_ids.sorted("date_from")[:1]
    return pipeline.carry_out(runs)

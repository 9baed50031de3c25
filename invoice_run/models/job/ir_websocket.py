import re

from odoo import models

CHANNEL = re.compile(r"invoice\.run_(\d+)")


class IrWebsocket(models.AbstractModel):
    """Sends the progress of a run to the users who have it open."""

    _inherit = "ir.websocket"

    def _build_bus_channel_list(self, channels):
        # EXTENDS 'bus': a channel per run, for those who may read that run
        wanted = {name: CHANNEL.fullmatch(name) for name in channels if isinstance(name, str)}
        run_ids = [int(match[1]) for match in wanted.values() if match]
        channels = [name for name in channels if not wanted.get(name)]
        runs = self.env["invoice.run"]
        if run_ids and runs.has_access("read"):
            channels.extend(runs.search([("id", "in", run_ids)]))
        return super()._build_bus_channel_list(channels)

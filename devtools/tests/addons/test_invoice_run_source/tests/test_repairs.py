import psycopg2
from freezegun import freeze_time

from odoo.addons.invoice_run.models.source.invoice_run_source_registry import SourceRefused
from odoo.addons.invoice_run.tests.manager_common import ManagerCommon
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger


@tagged("post_install", "-at_install")
class TestRepairs(ManagerCommon):
    """What an addon's own source has from the engine, without a line of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.repairs = cls._make_scenario("Repairs", source="repair")
        cls.labour = cls._make_product("Labour", 80.0)
        cls.repair = cls._make_repair("R1", "2024-01-10")

    @classmethod
    def _make_repair(cls, name, date, **vals):
        defaults = {
            "company_id": cls.company.id,
            "partner_id": cls.debtor.id,
            "product_id": cls.labour.id,
            "hours": 2.5,
            "price_unit": 80.0,
            "is_signed": True,
        }
        vals = {**defaults, "name": name, "date": date, **vals}
        return cls.env["workshop.repair"].create(vals)

    def _make_repair_amounts(self, invoice_date="2024-01-31", **vals):
        return self._make_amounts(self._make_run(invoice_date, self.repairs, **vals))

    def _get_repairs(self, run):
        return sorted(run.line_ids.mapped("repair_id.name"))

    # ------------------------------------------------------------------
    # Claims
    # ------------------------------------------------------------------

    def test_billed_once(self):
        run = self._run_all("2024-01-31", self.repairs)
        move = run.document_ids.move_id
        self.assertEqual((move.state, move.amount_total), ("posted", 200.0))
        self.assertEqual(move.invoice_line_ids.name, "Repair R1")
        self.assertEqual(move.invoice_origin, "R1")
        again = self._run_all("2024-02-29", self.repairs)
        self.assertFalse(again.document_ids)
        self.assertFalse(again.exception_ids)

    def test_why_it_is_not_in_the_run(self):
        """Without a word of the source's own about its conditions."""
        run = self._make_repair_amounts("2024-01-09")
        [(code, message)] = [
            (reason["code"], reason["message"])
            for reason in run.explain("workshop.repair", self.repair.id)["reasons"]
        ]
        self.assertEqual(code, "selected")
        self.assertIn("does not select it", message)

    def test_not_before_it_is_finished(self):
        self.assertFalse(self._make_repair_amounts("2024-01-09").document_ids)

    def test_database_refuses_a_second_claim(self):
        line = self._make_repair_amounts().line_ids
        self.assertEqual(line.repair_id, self.repair)
        with self.assertRaises(psycopg2.IntegrityError), mute_logger("odoo.sql_db"):
            with self.env.cr.savepoint():
                line.sudo().copy({"is_claimed": True, "document_id": line.document_id.id})
                self.env.flush_all()

    def test_held_by_another_run(self):
        first = self._make_repair_amounts()
        second = self._make_repair_amounts()
        self.assertFalse(second.document_ids)
        exception = second.exception_ids
        self.assertEqual((exception.code, exception.amount), ("held", 200.0))
        self.assertEqual((exception.repair_id, exception.blocking_run_id), (self.repair, first))
        exception.action_release()
        self.assertEqual(first.document_ids.state, "released")
        self.assertEqual(self._get_repairs(self._make_repair_amounts()), ["R1"])

    @mute_logger("odoo.sql_db")
    def test_claimed_meanwhile(self):
        first = self._make_repair_amounts()
        first.document_ids.action_exclude()
        self._run_all("2024-01-31", self.repairs)
        with self.assertRaisesRegex(UserError, "is already claimed by"):
            first.document_ids.action_include()

    def test_nothing_is_lost_with_a_cancelled_invoice(self):
        run = self._run_all("2024-01-31", self.repairs)
        move = run.document_ids.move_id
        move.button_draft()
        self.assertTrue(run.line_ids.is_claimed, "a draft may be confirmed again")
        move.button_cancel()
        self.assertFalse(run.line_ids.is_claimed)
        self.assertEqual(run.document_ids.state, "released")
        self.assertEqual(self._get_repairs(self._run_all("2024-02-29", self.repairs)), ["R1"])

    def test_nothing_is_lost_with_a_credit_note(self):
        run = self._run_all("2024-01-31", self.repairs)
        run.with_user(self.manager).action_reverse()
        self.assertFalse(run.line_ids.is_claimed)
        again = self._run_all("2024-02-29", self.repairs)
        self.assertEqual(self._get_repairs(again), ["R1"])
        billed = self.env["billing.ledger"]._get_billed_lines(self.repair)[self.repair.id]
        in_force = [one for one in billed if not one.is_released()]
        self.assertEqual([float(one.entry.amount) for one in in_force], [200.0])

    def test_without_its_index_it_is_refused(self):
        source = self.env["workshop.repair"]
        source._register_hook()
        drop = "DROP INDEX invoice_run_line_repair_claimed_once"
        for statement, condition in (
            (drop, None),
            ("CREATE INDEX claimed ON invoice_run_line (repair_id)", "not unique"),
            (
                "CREATE UNIQUE INDEX claimed_some ON invoice_run_line (repair_id)"
                " WHERE is_claimed AND amount > 100",
                "not all claims",
            ),
            (
                "CREATE UNIQUE INDEX claimed_by_run ON invoice_run_line (repair_id, run_id)"
                " WHERE is_claimed",
                "two runs could claim it",
            ),
        ):
            self.env.cr.execute(statement)
            with self.assertRaisesRegex(SourceRefused, "'repair'.*unique index", msg=condition):
                source._register_hook()
        self.env.cr.execute(
            "CREATE UNIQUE INDEX claimed_once ON invoice_run_line (repair_id) WHERE is_claimed"
        )
        source._register_hook()

    # ------------------------------------------------------------------
    # Documents
    # ------------------------------------------------------------------

    def test_grouping_key(self):
        self.repair.purchase_order = "PO1"
        for number, order in enumerate(("PO2", "PO1", False), 2):
            self._make_repair(f"R{number}", "2024-01-11", purchase_order=order)
        self.debtor.with_company(self.company).allow_invoice_grouping = True
        documents = self._make_repair_amounts().document_ids
        names = [sorted(document.line_ids.mapped("repair_id.name")) for document in documents]
        self.assertEqual(sorted(names), [["R1", "R3"], ["R2"], ["R4"]])

    def test_small_documents_are_merged_by_the_key_as_well(self):
        self.company.invoice_run_min_amount = 300.0
        self.repair.purchase_order = "PO1"
        self._make_repair("R2", "2024-01-11", purchase_order="PO2")
        run = self._make_repair_amounts()
        self.assertEqual(run.document_ids.mapped("state"), ["held", "held"])
        self.assertFalse(any(run.line_ids.mapped("is_claimed")))

    def test_preview_equals_result(self):
        self.company.tax_calculation_rounding_method = "round_globally"
        tax = self.env["account.tax"].create(
            {
                "name": "21 % in the price",
                "amount": 21.0,
                "price_include_override": "tax_included",
                "company_id": self.company.id,
            }
        )
        product = self._make_product("Parts", 9.99, taxes_id=[Command.set(tax.ids)])
        for number in range(2, 9):
            hours = number / 3
            vals = {"product_id": product.id, "hours": hours, "price_unit": 33.33}
            self._make_repair(f"R{number}", "2024-01-11", **vals)
        run = self._make_repair_amounts()
        before = [
            (document.amount_untaxed, document.amount_total, document.company_amount_total)
            for document in run.document_ids
        ]
        moves = self._make_invoices(run)
        self.assertEqual(
            [(move.amount_untaxed, move.amount_total, move.amount_total_signed) for move in moves],
            before,
        )
        for line in run.line_ids:
            self.assertEqual(line.move_line_ids.price_total, line.amount)

    def test_names(self):
        run = self._make_run("2024-01-31", self.repairs, name="January")
        run.schedule_id.invoice_name_format = "contract_debtor"
        self._make_amounts(run)
        self.assertEqual(run.document_ids.title, "R1 – 01/10/2024 – Debtor")

    # ------------------------------------------------------------------
    # Checks, changes
    # ------------------------------------------------------------------

    def test_check(self):
        self.repair.is_signed = False
        self._make_repair("R2", "2024-01-11")
        run = self._make_repair_amounts()
        self.assertEqual(self._get_repairs(run), ["R2"], "one never stops the others")
        exception = run.exception_ids
        self.assertEqual((exception.code, exception.repair_id), ("signature", self.repair))
        self.assertEqual((exception.amount, exception.kind), (200.0, "failed"))
        self.assertEqual((run.due_count, run.due_amount), (2, 400.0))
        self.repair.is_signed = True
        self.assertEqual(self._get_repairs(self._make_repair_amounts()), ["R1"])

    def test_large_credit_is_flagged(self):
        self.company.invoice_run_credit_limit = 100.0
        self.repair.hours = -2.5
        document = self._make_repair_amounts().document_ids
        self.assertEqual((document.amount_total, document.is_large_credit), (-200.0, True))

    def test_outdated_and_renewed(self):
        run = self._make_repair_amounts()
        run.with_user(self.reviewer).action_approve()
        self.repair.hours = 3.0
        self.assertTrue(run.document_ids.is_stale)
        run.action_generate_invoices()
        run._process_queue()
        self.assertEqual(run.document_ids.state, "failed", "approved was something else")
        run.action_renew_stale()
        run._process_queue()
        self.assertEqual((run.document_ids.amount_total, run.document_ids.is_stale), (240.0, False))
        self.assertFalse(run.approved_date)

    def test_excluded_comes_next_time(self):
        self._make_repair("R2", "2024-01-11")
        run = self._make_repair_amounts()
        run.line_ids.filtered(lambda line: line.repair_id == self.repair).action_exclude()
        self._make_invoices(run)
        self.assertEqual(run.invoice_ids.invoice_line_ids.mapped("name"), ["Repair R2"])
        self.assertEqual(self._get_repairs(self._run_all("2024-02-29", self.repairs)), ["R1"])

    def test_excluded_does_not_come_back_by_renewing(self):
        other = self._make_repair("R2", "2024-01-11")
        run = self._make_repair_amounts()
        run.line_ids.filtered(lambda line: line.repair_id == self.repair).action_exclude()
        other.hours = 4.0
        run.action_renew_stale()
        run._process_queue()
        open_documents = run.document_ids.filtered(lambda document: document.state == "to_do")
        self.assertEqual(open_documents.line_ids.repair_id, other)
        self.assertEqual(open_documents.amount_total, 320.0)

    def test_approval_is_of_these_repairs(self):
        other = self._make_repair("R2", "2024-03-11")
        run = self._make_repair_amounts()
        run.with_user(self.reviewer).action_approve()
        self.assertFalse(run.document_ids._get_unapproved())
        run.line_ids.sudo().repair_id = other
        self.assertEqual(run.document_ids._get_unapproved(), run.document_ids)

    def test_four_eyes(self):
        self.company.invoice_run_four_eyes = True
        run = self._make_repair_amounts()
        self.repair.with_user(self.reviewer).hours = 2.5
        self.assertFalse(run._get_prepared_by(self.reviewer), "nothing was changed")
        self.repair.with_user(self.reviewer).hours = 3.0
        self.assertEqual(run._get_prepared_by(self.reviewer), "R1")

    def test_compared_with_last_time(self):
        self._run_all("2024-01-31", self.repairs)
        self._make_repair("R2", "2024-02-10", hours=3.0)
        usual = self._run_all("2024-02-29", self.repairs).document_ids
        self.assertEqual((usual.previous_amount, usual.variance), (200.0, 20.0))
        self.assertFalse(usual.is_outlier or usual.is_first)
        self._make_usage(date="2024-03-01", price_unit=5000.0)
        self._run_all("2024-03-02", self.usage_scenario)
        self._make_repair("R3", "2024-03-10", hours=30.0)
        unusual = self._make_repair_amounts("2024-03-31").document_ids
        self.assertEqual(unusual.previous_amount, 240.0, "the last repair, not the usage since")
        self.assertTrue(unusual.is_outlier)
        foreign = self._make_repair(
            "R4", "2024-03-10", partner_id=self._make_partner("New customer").id
        )
        first = self._make_repair_amounts("2024-03-31").document_ids
        self.assertEqual((first.line_ids.repair_id, first.is_first), (foreign, True))

    # ------------------------------------------------------------------
    # Screens
    # ------------------------------------------------------------------

    @freeze_time("2024-01-31")
    def test_invoice_manager(self):
        self.company.invoice_run_auto_approve = True
        other = self._make_repair("R2", "2024-01-11", is_signed=False)
        options = self.repair.with_user(self.user).action_open_manager()["params"]["options"]
        manager = self._open(**options)
        started = manager.get_cards()
        self.assertEqual(started["selected"], "R1")
        card = next(card for card in started["scenarios"] if card["id"] == self.repairs.id)
        self.assertEqual((card["source"], card["icon"]), ("Repairs", "fa-wrench"))
        self.assertEqual(card["count"], 2)
        self.assertNotIn(self.scenario.id, [card["id"] for card in started["scenarios"]])
        self._fetch(manager, self.repairs)
        self.assertEqual([row["reference"] for row in manager.get_rows()["rows"]], ["R1"])
        manager.action_forget_selected()
        self._fetch(manager, self.repairs)
        (problem,) = manager.get_exceptions()
        self.assertEqual((problem["reference"], problem["model"]), ("R2", "workshop.repair"))
        other.is_signed = True
        self._fetch(manager, self.repairs)
        manager.run_id.document_ids.with_user(self.reviewer).action_accept()
        self._process(manager)
        rows = manager.get_rows()["rows"]
        self.assertEqual([row["status"] for row in rows], ["invoiced"])
        self.assertEqual(rows[0]["reference"], "R1, R2")
        self.assertEqual(self.repair.with_user(self.user).invoice_run_count, 1)
        domain = self.repair.action_view_invoice_runs()["domain"]
        self.assertEqual(self.env["invoice.run"].search(domain), manager.run_id)

    def test_scenario(self):
        scenario = self.env["billing.scenario"].search(
            [("company_id", "=", self.company.id), ("name", "=", "Finished repairs")]
        )
        self.assertEqual((scenario.source, scenario.source_model), ("repair", "workshop.repair"))
        self.assertFalse(scenario.has_periods)
        self.repairs.domain = "[('purchase_order', '=', 'PO1')]"
        self.assertFalse(self._make_repair_amounts().document_ids)
        self.repair.purchase_order = "PO1"
        self.assertEqual(self._get_repairs(self._make_repair_amounts()), ["R1"])

    def test_amounts_are_the_engines(self):
        run = self._make_repair_amounts()
        with self.assertRaises(AccessError):
            run.line_ids.with_user(self.user).repair_id = False
        with self.assertRaises(AccessError):
            self.repair.with_user(self.user).run_line_ids = [Command.clear()]

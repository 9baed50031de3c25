"""What every test class begins with, made once and kept in the database of ``./dev test``.

Two companies with a chart of accounts, users and products take two seconds, and every class
begins with them. A database without kept ones is as good (``odoo-bin --test-enable`` on any): there
each class makes its own.
"""

import json

from odoo.addons.account.tests.common import AccountTestInvoicingCommon
from odoo.addons.base.tests.common import BaseCommon
from odoo.fields import Command
from odoo.models import BaseModel
from odoo.modules.registry import Registry
from odoo.sql_db import Cursor
from odoo.tests.common import get_db_name

PARAMETER = "invoice_run.test_records"


class KeptCommon(AccountTestInvoicingCommon):
    """Odoo's test data and those of ``_make_records``: the kept ones, else made now."""

    kept_user = None
    kept_other_company_data = None

    @classmethod
    def setUpClass(cls):
        kept = cls._read_kept()
        if kept:
            # past the classes that make it all, to the one that opens the transaction
            super(BaseCommon, cls).setUpClass()
            cls._restore_kept(kept)
        else:
            super().setUpClass()
            cls._make_records()

    @classmethod
    def _make_records(cls):
        """Make what the tests need beyond Odoo's records; class attributes name it."""

    @classmethod
    def _read_kept(cls):
        """Return {attribute: [model, ids] or {key: [model, ids]}}; empty where nothing is kept."""
        if cls.chart_template or cls.country_code:  # a class that wants other accounts
            return {}
        with Registry(get_db_name()).cursor() as cr:
            cr.execute("SELECT value FROM ir_config_parameter WHERE key = %s", [PARAMETER])
            return json.loads((cr.fetchone() or ["{}"])[0])

    @classmethod
    def _restore_kept(cls, kept):
        _model, user_ids = kept["kept_user"]
        cls.env = cls.env(user=user_ids[0], context=cls.default_env_context())
        for name, value in kept.items():
            setattr(cls, name, _load(cls.env, value))
        cls.maxDiff, cls.tax_number = None, 0
        if missing := cls.get_default_groups() - cls.env.user.group_ids:
            cls.env.user.group_ids += missing

    @classmethod
    def setup_other_company(cls, **kwargs):
        # EXTENDS 'account'
        if kwargs or not cls.kept_other_company_data:
            return super().setup_other_company(**kwargs)
        company = cls.kept_other_company_data["company"]
        cls.env.user.company_ids = [Command.link(company.id)]
        return cls.kept_other_company_data


def keep_records(common):
    """Make the records of ``common``, and a second company, in this database for good."""

    class Maker(common):
        @classmethod
        def setup_independent_company(cls, **kwargs):
            # the other company is older: no product of the tests has its taxes
            cls.kept_other_company_data = {"company": cls._create_company(name="company_2")}
            return super().setup_independent_company(**kwargs)

        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.kept_user = cls.env.user
            companies = cls.env.user.company_ids
            company = cls.kept_other_company_data["company"]
            # as `setup_other_company` does with a company that it makes
            cls.env.user.company_ids += company
            cls.kept_other_company_data = cls.collect_company_accounting_data(company)
            cls._set_accounts(company, cls.kept_other_company_data)
            cls.env.user.company_ids = companies

        @classmethod
        def _set_accounts(cls, company, data):
            cls.product_category.with_company(company).write(
                {
                    "property_account_income_categ_id": data["default_account_revenue"].id,
                    "property_account_expense_categ_id": data["default_account_expense"].id,
                }
            )

    try:
        Maker.setUpClass()
        values = {name: _dump(value) for name, value in vars(Maker).items() if _is_kept(value)}
        Maker.env["ir.config_parameter"].sudo().set_param(PARAMETER, json.dumps(values))
        Maker.env.flush_all()
        Cursor.commit(Maker.cr)  # its own method refuses, as in all tests
    finally:
        Maker.doClassCleanups()


def _is_kept(value):
    """Whether an attribute is records, or a dictionary of them."""
    values = value.values() if isinstance(value, dict) else [value]
    return all(isinstance(one, BaseModel) for one in values)


def _dump(value):
    if isinstance(value, dict):
        return {key: _dump(item) for key, item in value.items()}
    return [value._name, value.ids]


def _load(env, value):
    if isinstance(value, dict):
        return {key: _load(env, item) for key, item in value.items()}
    model, ids = value
    return env[model].browse(ids)

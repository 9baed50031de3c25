"""What runs inside of an Odoo shell: it has `env`, and Odoo can be imported."""

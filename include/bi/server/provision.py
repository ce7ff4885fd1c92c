"""Run by Superset's own Python: `python provision.py ZIP` makes Superset show what the bundle describes.

`superset import-dashboards` leaves charts and datasets as they are that are there already; here everything of the
bundle is overwritten, so that a changed description shows.
"""

from __future__ import annotations

import os
import sys
import zipfile

from superset.app import create_app

ADMIN = "admin"


def provision(bundle: str) -> None:
    """Make the administrator, or give them today's password, and import the bundle in their name."""
    from superset import security_manager
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.commands.importers.v1.utils import get_contents_from_bundle
    from superset.utils.core import override_user

    password = os.environ["ADMIN_PASSWORD"]
    admin = security_manager.find_user(ADMIN)
    if admin is None:
        role = security_manager.find_role("Admin")
        admin = security_manager.add_user(ADMIN, "Tandem", "Admin", "admin@example.com", role, password)
    else:
        security_manager.reset_password(admin.id, password)
    with zipfile.ZipFile(bundle) as opened, override_user(admin):
        ImportAssetsCommand(get_contents_from_bundle(opened)).run()


if __name__ == "__main__":
    with create_app().app_context():
        provision(sys.argv[1])

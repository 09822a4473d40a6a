"""moto_server that refuses inactive access keys, as AWS does; moto itself takes them."""

import sys

from moto.iam import access_control
from moto.server import main

take_key = access_control.IAMUserAccessKey.__init__


def take_active_key(self, account_id, partition, access_key_id, headers):
    """An inactive key is as good as none."""
    take_key(self, account_id, partition, access_key_id, headers)
    for user in self.backend.list_users("/", None, None):
        for key in user.access_keys:
            if key.access_key_id == access_key_id and key.status != "Active":
                raise access_control.CreateAccessKeyFailure(reason="InvalidId")


access_control.IAMUserAccessKey.__init__ = take_active_key
sys.exit(main(sys.argv[1:]))

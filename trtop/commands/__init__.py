"""The commands besides ``trtop FILE``: one file per command."""

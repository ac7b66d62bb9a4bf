"""What an administrator does with the database: check it, copy it, move it.

Nothing here serves requests. The commands work beside a running registry, except the restore.
"""

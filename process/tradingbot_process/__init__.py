"""What every process needs of its machine, whatever it does: sockets to listen on, files that last.

Standard library only.
"""

"""The servers that are compared. Each is a private instance on a free port of loopback.

What a part of the bench uses of them:
    name            in tables
    smtp, lmtp      addresses, where it speaks that
    policy          the address of its Postfix policy service
    pids()          the processes that a tree of the server's processes grows from
    stored()        messages that are there, one in two mailboxes counted twice; None: it keeps none
    needs_root      whether it can be started as root only
    stop()          ends it and all that it has started
"""

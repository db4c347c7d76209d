"""The servers that are compared. Each is a private instance on a free port of loopback.

What a part of the bench uses of them:
    name            in tables
    smtp, lmtp      addresses, where it speaks that
    policy          the address of its Postfix policy service
    pids()          the processes that a tree of the server's processes grows from
    stored(mailbox) messages that are there
    stop()          ends it and all that it has started
"""

"""What can go wrong with an answer, on demand.

A new kind of fault is one function in one of three tables: `content.CONTENT` changes what the
JSON says, `reply.REPLY` how it is sent, and `wire.WIRE` takes the connection into its own hands.
"""

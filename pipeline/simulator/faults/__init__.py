"""Faults that can be injected into responses.

A new kind of fault is one function in one of three tables: `content.CONTENT` changes the JSON,
`response.RESPONSE` the HTTP response, and `connection.CONNECTION` what is sent over the socket.
"""

"""The API of Illuminate (Renaissance DnA) over HTTP.

`client` sends the requests: to an `address`, with `auth`, to `endpoints`, within the `limits`,
with `retry`, over the sessions of `wire`; `pages` verifies the replies. No pandas or luigi here.
"""

"""The API of Illuminate (Renaissance DnA): signing in, asking, and believing nothing.

`address` and `auth` say where and as whom, `client` asks, `retry` and `wire` bound how long,
`pages` checks the replies, `endpoints` names what can be asked. No pandas, polars or luigi here.
"""

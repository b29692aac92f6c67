"""Peers for the stories: small speakers of each protocol that we wrote ourselves, and the well-known tools.

One module a protocol.  Bytes on both sides, so that a malformed packet is as easy to send as a good one.
"""

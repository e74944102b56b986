"""The doorbell over rq: messages that say "there is work for this device kind" and nothing else.

Postgres is the truth. All of Redis may be lost at any moment and only latency suffers.
"""

# SPDX-License-Identifier: Apache-2.0
"""What a connection gives access to: the question of every test about binding."""
import tls

# What mod_ssl says when it refuses a client.
REFUSALS = ["AH01897", "AH02031", "AH02032", "AH02033", "AH02039", "AH02040", "AH02256",
            "AH02257", "AH02258", "AH02261", "AH02262", "AH02263", "AH02265", "AH02268",
            "AH02276", "AH10158",
            "SSL Library Error.*(peer did not return a certificate|certificate verify failed|"
            "extension not received)"]
REFUSED = "refused"


def attempt(server, host, **options):
    """(what came of it: the status of the answer or "refused"; the reply, None if refused)."""
    try:
        reply = server.get(host, **options)
    except (tls.TlsError, OSError):
        return REFUSED, None
    return reply.status, reply


def outcome(server, host, **options):
    return attempt(server, host, **options)[0]

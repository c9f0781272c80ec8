"""AWS Signature Version 4, as the receiving end checks it."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from calendar import timegm
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

from .http import Request

ALGORITHM = "AWS4-HMAC-SHA256"
SECRET = "fake/aws+secret"
"""The secret behind every access key id."""
MAX_SKEW = 300
"""Seconds that a signature may be away from this clock."""

_FIELDS = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")


@dataclass(frozen=True)
class Signature:
    """What an `authorization` header says."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: list[str]
    signature: str


def read(authorization: str) -> Signature | None:
    """The parts of the header; None when one is missing or misshapen."""
    fields = dict(_FIELDS.findall(authorization))
    scope = fields.get("Credential", "").split("/")
    signed, signature = fields.get("SignedHeaders"), fields.get("Signature")
    if len(scope) != 5 or scope[4] != "aws4_request" or not signed or not signature:
        return None
    key, date, region, service, _ = scope
    return Signature(key, date, region, service, signed.split(";"), signature)


def fault_in(request: Request, claim: Signature, service: str) -> str | None:
    """Why the signature does not stand; None when it does."""
    stamp = request.header("x-amz-date") or request.header("date")
    try:
        at = timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return "Date must be in ISO-8601 'basic format'."
    now = time.time()
    if abs(now - at) > MAX_SKEW:
        limit = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - MAX_SKEW))
        return f"Signature expired: {stamp} is now earlier than {limit} ({MAX_SKEW // 60} min.)"
    if claim.service != service:
        return f"Credential should be scoped to correct service: '{service}'."
    if claim.date != stamp[:8]:
        return "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date."
    if "host" not in claim.signed_headers:
        return "'Host' must be a 'SignedHeader' in the AWS Authorization."
    if not hmac.compare_digest(sign(request, claim, stamp), claim.signature):
        return (
            "The request signature we calculated does not match the signature you provided. Check"
            " your AWS Secret Access Key and signing method. Consult the service documentation for"
            " details."
        )
    return None


def sign(request: Request, claim: Signature, stamp: str) -> str:
    """The signature that the request should have."""
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    canonical = hashlib.sha256(canonical_request(request, claim.signed_headers).encode())
    text = "\n".join([ALGORITHM, stamp, scope, canonical.hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def canonical_request(request: Request, signed_headers: list[str]) -> str:
    """The request as it is signed. A path is encoded once more than it is sent."""
    query = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query)
    lines = [f"{name}:{_header(request, name)}\n" for name in signed_headers]
    return "\n".join([
        request.method,
        quote(request.path, safe="/~"),
        "&".join(f"{name}={value}" for name, value in pairs),
        "".join(lines),
        ";".join(signed_headers),
        hashlib.sha256(request.body).hexdigest(),
    ])  # fmt: skip


def _header(request: Request, name: str) -> str:
    values = [value for key, value in request.headers if key.lower() == name]
    return ",".join(" ".join(value.split()) for value in values)

"""What an object store answered, by its own code, and what somebody can do about it.

The codes are those of the S3 reference ("List of error codes"); other stores that speak S3 use the
same. A HEAD request brings no code, only a status.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from des_core.basics.errors import StorageError

_STATUS = re.compile(r"status code: ([0-9]{3})\b")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]+)</Code>")
_LOST_REDIRECT = "redirect without LOCATION"

CREDENTIALS = {
    "AuthFailure": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "get a new AWS_SESSION_TOKEN, or let the role of this machine renew it",
    "ExpiredTokenException": "get a new AWS_SESSION_TOKEN, or let the role renew it",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID: the store does not know it",
    "InvalidSecurity": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "get a new AWS_SESSION_TOKEN",
    "NotSignedUp": "the account has no access to the object store",
    "RequestExpired": "set the clock of this machine: it differs from the store's",
    "RequestTimeTooSkewed": "set the clock of this machine: it differs from the store's",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY, AWS_REGION and what stands between",
    "TokenRefreshRequired": "get a new AWS_SESSION_TOKEN, or let the role renew it",
}
CREDENTIALS_HINT = (
    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN or the role of this machine"
)
WRONG_REGION = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "Redirect",
    "TemporaryRedirect",
}
# What the client says where it does not even ask, and the code that we give it.
_UNASKED, WITHOUT_TLS = "builder error", "WithoutTLS"
FULL = {"EntityTooLarge", "QuotaExceeded", "QuotaExceededException", "XMinioStorageFull"}
UNSUPPORTED = {"MethodNotAllowed", "NotImplemented", "UnsupportedOperation"}
# The store asks for another try, although the status alone does not tell.
AGAIN = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "OperationAborted",
    "RequestThrottled",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "XAmzContentSHA256Mismatch",
}
AGAIN_STATUS = {408, 409, 425, 429}
NOT_IMPLEMENTED = 501
# What HEAD answers without saying why.
WITHOUT_CODE = {301, 307, 308, 400, 403, 404, 409}
READING = {"read", "look at"}
RIGHTS = {
    "read": "s3:GetObject",
    "look at": "s3:GetObject",
    "write": "s3:PutObject",
    "copy": "s3:GetObject and s3:PutObject",
    "delete": "s3:DeleteObject",
    "list": "s3:ListBucket",
}
"""What a role needs for each verb of `ObjectStore`."""


class Answer(NamedTuple):
    """HTTP status and error code, as far as there were any."""

    status: int | None
    code: str = ""

    @property
    def is_conflict(self) -> bool:
        """Two writers met, and the store asks for another try: the object need not be there."""
        return self.status == 409 and "AlreadyExists" not in self.code


class ObjectRefused(StorageError):
    """The store answered about this object or its bucket, and would say the same again."""


class AccessDenied(ObjectRefused):
    """The role lacks a right; facts name it."""


def answer_of(exc: BaseException) -> Answer:
    """What the store said, from an error of either client."""
    response = getattr(exc, "response", None)
    if isinstance(response, dict):
        return _answer_of_botocore(response)
    text = str(exc)
    if _UNASKED in text:
        return Answer(None, WITHOUT_TLS)
    status, code = _STATUS.search(text), _CODE.search(text)
    if status is None:
        return Answer(301 if _LOST_REDIRECT in text else None)
    return Answer(int(status[1]), code[1] if code else "")


def _answer_of_botocore(response: dict[str, Any]) -> Answer:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(response.get("Error", {}).get("Code", ""))
    # Where there was no body, botocore puts the status here.
    return Answer(status if isinstance(status, int) else None, "" if code.isdecimal() else code)


def final_error(answer: Answer, verb: str, name: str, place: str) -> Exception | None:
    """The error to raise; None where another try may help."""
    status, code = answer
    facts: dict[str, Any] = {"place": place, "code": code or status}
    if code in CREDENTIALS or status == 401:
        hint = CREDENTIALS.get(code, CREDENTIALS_HINT)
        return StorageError("the object store does not accept our credentials", hint=hint, **facts)
    if code == WITHOUT_TLS:
        hint = "name one with https://, or allow the other: packer.object_store.allow_http: true"
        return StorageError("the endpoint of the object store has no TLS", hint=hint, place=place)
    if code == "NoSuchBucket":
        hint = "create it, or correct packer.output_dir, or the location of this row"
        return ObjectRefused("the bucket does not exist", hint=hint, **facts)
    if code in WRONG_REGION or status in {301, 307, 308}:
        hint = "name its region: packer.object_store.region or AWS_REGION"
        return ObjectRefused("the bucket is in another region", hint=hint, **facts)
    if code in UNSUPPORTED or status in {405, 501}:
        hint = "it must honour If-None-Match: * on PUT, and list in the order of names"
        return StorageError(
            "the object store cannot do what we need", hint=hint, verb=verb, **facts
        )
    if code in FULL or status == 507:
        hint = "make room there; then run again: what is packed is kept"
        return StorageError("the object store is full", hint=hint, **facts)
    if code in AGAIN or status is None or status in AGAIN_STATUS or status >= 500:
        return None
    if code == "InvalidObjectState":
        hint = "restore it there first, and let no rule of the bucket move what is still read"
        return ObjectRefused("the object is in cold storage", hint=hint, object=name, **facts)
    if status == 403:
        return denied(verb, name, place, code)
    if status == 404 and verb in READING:
        return FileNotFoundError(name)
    if status == 412 and verb == "read":
        return BlockingIOError(f"{name} has changed")
    text = f"the object store refuses to {verb} an object"
    return ObjectRefused(text, object=name or None, **facts)


def denied(verb: str, name: str, place: str, code: str = "") -> AccessDenied:
    """The error of a role without the right to do so."""
    right = RIGHTS.get(verb, verb)
    return AccessDenied(
        f"the object store does not let us {verb} {'objects' if verb == 'list' else 'an object'}",
        hint=f"the role needs {right} there; des-admin doctor tries each right",
        place=place,
        object=name or None,
        code=code or 403,
    )


def is_of_botocore(exc: BaseException) -> bool:
    """Whether the error is one of the second client, which may not be installed."""
    return type(exc).__module__.startswith("botocore.")


def is_misuse(exc: BaseException) -> bool:
    """Whether the second client refuses even to ask."""
    return is_of_botocore(exc) and type(exc).__name__ == "ParamValidationError"

"""Errors of this package. The text of each says what to do."""


class WebhookError(RuntimeError):
    """Base of this package's errors. Its text is one line that says what to do."""


class CertificateError(WebhookError):
    """Raised when there is no certificate with a matching key."""


class TooComplexError(ValueError):
    """Raised when a review has more values than the webhooks check."""


class NotAReviewError(ValueError):
    """Raised when a request's body is not an AdmissionReview with a request in it."""

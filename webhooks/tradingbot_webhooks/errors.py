"""What can go wrong before the server serves, each with a line that says what to do."""


class WebhookError(RuntimeError):
    """Base of this package's errors. Its text is one line for a person to act on."""


class ListenError(WebhookError):
    """Raised when a port can't be listened on."""


class CertificateError(WebhookError):
    """Raised when there is no certificate and key that belong together."""


class WorkersError(WebhookError):
    """Raised when workers die as soon as they are started."""


class NotAReviewError(ValueError):
    """Raised when a request's body is not an AdmissionReview with a request in it."""

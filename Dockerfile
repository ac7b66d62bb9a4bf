# One image for every process: operator, webhooks, api-server, certs, and the commands. The first
# stage builds and collects, the second one has what it collected and nothing else: no shell, no
# package installer, no compiler. docs/image.md has what is in it, and why.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# The time that everything in the image has, for builds that give the same bytes each time.
ARG SOURCE_DATE_EPOCH=0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src

# Dependencies before the sources: they change less often. Hashes, so that nothing but the reviewed
# files gets in; wheels only, so that no package runs code of its own while it is installed.
# Both secrets are for a package index of your own, and left out they are nothing.
COPY requirements.txt requirements-dev.txt ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=pip-ca.pem \
    python -m venv --without-pip /opt/tradingbot \
    && pip --python /opt/tradingbot/bin/python install \
        --no-compile --require-hashes --only-binary :all: --requirement requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY webhooks webhooks
COPY operator operator
COPY registry registry
COPY certs certs
COPY cli cli
# --no-deps: what the project needs was installed above. The build back end is held to its hash too.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=pip-ca.pem \
    sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt > /build.txt \
    && pip install --require-hashes --only-binary :all: --requirement /build.txt \
    && pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && pip --python /opt/tradingbot/bin/python install \
        --no-compile --no-deps --no-index --find-links /dist tradingbot-operator

COPY hack/image/rootfs.py /rootfs.py
RUN python /rootfs.py /opt/tradingbot /rootfs


FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="tradingbot-operator" \
      org.opencontainers.image.description="Kubernetes operator, admission webhooks and asset registry for trading bots" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# Apart, since the first one stays the same over many versions.
COPY --from=build /rootfs/runtime/ /
COPY --from=build /rootfs/application/ /
# Time zones are those of the tzdata package, as everywhere in this project.
ENV PATH=/opt/tradingbot/bin:/usr/local/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1 PYTHONTZPATH="" \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# By number: only so can Kubernetes see that it is not root (runAsNonRoot). The file system may be
# read-only; /tmp, and the registry's /var/lib/tradingbot, are mounted.
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/opt/tradingbot/bin/tradingbot"]

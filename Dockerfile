# One image for every process: operator, webhooks, registry, certs, and the commands. The first stage
# builds and collects files, the second has only those files: no shell, no package installer, no
# compiler. docs/image.md lists and explains the contents.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# The time of all files in the image, for reproducible builds.
ARG SOURCE_DATE_EPOCH=0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src

# Dependencies before the sources, because they change less often. With hashes, so that only reviewed
# files are installed; wheels only, so that no package runs code during installation. Both secrets are
# optional, for a private package index.
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
COPY exchange exchange
COPY gateway gateway
COPY kubeconfig kubeconfig
COPY cli cli
# --no-deps: the dependencies were installed above. The build back end is also pinned by its hash.
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
# Two layers, because the first changes rarely.
COPY --from=build /rootfs/runtime/ /
COPY --from=build /rootfs/application/ /
# Time zones come from the tzdata package, as everywhere in this project.
ENV PATH=/opt/tradingbot/bin:/usr/local/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1 PYTHONTZPATH="" \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# By number, so that Kubernetes can check runAsNonRoot. The file system may be read-only; /tmp, and the
# registry's /var/lib/tradingbot, are mounted.
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/opt/tradingbot/bin/tradingbot"]

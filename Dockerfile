# Two images: the last stage is the product's, one for every process (operator, webhooks, registry,
# certs, and the commands). The target `strategies` is the image of bots that run a built-in strategy.
#   docker build -t tradingbot-operator:0.1.0 .
#   docker build --target strategies -t tradingbot-strategies:0.1.0 .
# Some stages build and collect files, and the images have only these files: no shell, no package
# installer, no compiler. docs/image.md lists and explains the contents.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# The time of all files in the image, for reproducible builds.
ARG SOURCE_DATE_EPOCH=0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY hack/image/rootfs.py /rootfs.py

# The build back end is also pinned by its hash. In all stages, dependencies come before the sources,
# because they change less often. With hashes, so that only reviewed files are installed; wheels only,
# so that no package runs code during installation. Both secrets are optional, for a private package
# index.
COPY requirements-dev.txt ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=pip-ca.pem \
    sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt > /build.txt \
    && pip install --require-hashes --only-binary :all: --requirement /build.txt \
    && python -m venv --without-pip /opt/tradingbot


FROM build AS build-strategies
COPY strategies/requirements.txt strategies/requirements.txt
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=pip-ca.pem \
    pip --python /opt/tradingbot/bin/python install \
        --no-compile --require-hashes --only-binary :all: --requirement strategies/requirements.txt

COPY strategies strategies
# The packages of the schema and of the exchange, without the services that the product's image has.
COPY api/tradingbot_api packages/tradingbot_api
COPY exchange/tradingbot_exchange packages/tradingbot_exchange
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist ./strategies \
    && pip --python /opt/tradingbot/bin/python install \
        --no-compile --no-deps --no-index --find-links /dist tradingbot-strategies \
    && cp -r packages/. \
        "$(/opt/tradingbot/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
RUN python /rootfs.py /opt/tradingbot /rootfs


FROM build AS build-operator
COPY requirements.txt ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=pip-ca.pem \
    pip --python /opt/tradingbot/bin/python install \
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
COPY process process
COPY cli cli
# --no-deps: the dependencies were installed above.
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
    && pip --python /opt/tradingbot/bin/python install \
        --no-compile --no-deps --no-index --find-links /dist tradingbot-operator
RUN python /rootfs.py /opt/tradingbot /rootfs


# What the two images have in common.
FROM scratch AS image
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# Time zones come from the tzdata package, as everywhere in this project.
ENV PATH=/opt/tradingbot/bin:/usr/local/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1 PYTHONTZPATH="" \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# By number, so that Kubernetes can check runAsNonRoot. The file system may be read-only; /tmp, and the
# registry's /var/lib/tradingbot, are mounted.
USER 65532:65532


FROM image AS strategies
LABEL org.opencontainers.image.title="tradingbot-strategies" \
      org.opencontainers.image.description="Trading strategies for bots of the tradingbot operator"
COPY --from=build-strategies /rootfs/runtime/ /
COPY --from=build-strategies /rootfs/application/ /
# Here and not above, where it would create /tmp with other rights.
WORKDIR /tmp
ENTRYPOINT ["/opt/tradingbot/bin/tradingbot-strategies"]
CMD ["run"]


FROM image AS operator
LABEL org.opencontainers.image.title="tradingbot-operator" \
      org.opencontainers.image.description="Kubernetes operator, admission webhooks and asset registry for trading bots"
# Two layers, because the first changes rarely.
COPY --from=build-operator /rootfs/runtime/ /
COPY --from=build-operator /rootfs/application/ /
WORKDIR /tmp
ENTRYPOINT ["/opt/tradingbot/bin/tradingbot"]

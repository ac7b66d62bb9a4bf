# syntax=docker/dockerfile:1
# One image for every process: operator, webhooks, api-server, certs. Built in two stages, so that
# what runs has neither pip's cache nor a build tool in it.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src

# Dependencies before the sources: they change less often. Hashes, so that nothing but the reviewed
# files gets in; wheels only, so that no package runs code of its own while it is installed.
COPY requirements.txt requirements-dev.txt ./
RUN python -m venv --without-pip /opt/tradingbot \
    && pip --python /opt/tradingbot/bin/python install \
        --require-hashes --only-binary :all: --requirement requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY webhooks webhooks
COPY operator operator
COPY registry registry
COPY certs certs
COPY cli cli
# --no-deps: what the project needs was installed above. The build back end is held to its hash too.
# Compiled here, because no start could keep what it compiles on a read-only file system. The last
# line shows that the result runs.
RUN pip wheel --no-deps --build-constraint requirements-dev.txt --wheel-dir /dist . \
    && pip --python /opt/tradingbot/bin/python install --no-deps --no-index /dist/*.whl \
    && /opt/tradingbot/bin/python -m compileall -q -j 0 /opt/tradingbot/lib \
    && /opt/tradingbot/bin/tradingbot --help > /dev/null


FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="tradingbot-operator" \
      org.opencontainers.image.description="Kubernetes operator, admission webhooks and asset registry for trading bots" \
      org.opencontainers.image.licenses="Apache-2.0"
# No package installer where nothing is ever installed.
RUN pip uninstall --yes pip
COPY --from=build /opt/tradingbot /opt/tradingbot
ENV PATH=/opt/tradingbot/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# By number: only so can Kubernetes see that it is not root (runAsNonRoot). The file system may be
# read-only; /tmp, and the registry's /var/lib/tradingbot, are mounted.
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["tradingbot"]

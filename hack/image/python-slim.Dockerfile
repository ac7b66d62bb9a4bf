# A substitute for python:3.13-slim where no registry can be reached, for tests on a real node.
# CPython from its released sources (Debian's copy, without Debian's patches), in /usr/local, with a
# shared library and pip, like the official image; without tests and slow compiler optimizations.
FROM debian:trixie-slim AS build
RUN sed 's/^deb /deb-src /' /etc/apt/sources.list > /etc/apt/sources.list.d/sources.list \
    && apt-get update \
    && apt-get install --yes --no-install-recommends \
        build-essential dpkg-dev pkgconf xz-utils \
        libbz2-dev libffi-dev libgdbm-dev liblzma-dev libncurses-dev libreadline-dev \
        libsqlite3-dev libssl-dev uuid-dev zlib1g-dev \
    && mkdir /source && cd /source \
    && apt-get source --download-only python3.13 \
    && tar --extract --strip-components=1 --file python3.13_*.orig.tar.xz \
    && ./configure --enable-shared --enable-loadable-sqlite-extensions --with-ensurepip \
        --disable-test-modules OPT="-DNDEBUG -O1" LDFLAGS="-Wl,--strip-all" \
    && make --jobs="$(nproc)" \
    && make install DESTDIR=/destination \
    && cd /destination/usr/local \
    && find . -depth \( -name test -o -name tests -o -name __pycache__ -o -name 'libpython*.a' \) \
        -exec rm -r {} + \
    && cd bin && ln -s python3 python && ln -s pip3 pip

FROM debian:trixie-slim
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libbz2-1.0 libffi8 libgdbm6t64 liblzma5 libncursesw6 libreadline8t64 \
        libsqlite3-0 libssl3t64 libuuid1 zlib1g \
    && rm -r /var/lib/apt/lists/*
COPY --from=build /destination/usr/local /usr/local
RUN ldconfig && python --version && pip --version
CMD ["python3"]

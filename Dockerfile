# kip's two images:
#
#   docker buildx build --platform linux/amd64,linux/arm64,linux/ppc64le,linux/s390x --target keeper -t kip .
#   docker buildx build --platform linux/amd64,linux/arm64,linux/ppc64le,linux/s390x --target sleep -t kip-sleep .
#
# BASE is any Debian-like image with Python 3.11 or later. BUILD_BASE is one with the same Python and pip as well,
# for the stages that are thrown away. hack/image builds both on a base that it makes itself.
ARG BASE=docker.io/library/python:3.13-slim
ARG BUILD_BASE=${BASE}

# --- the sleeper, cross-compiled on the building machine
FROM --platform=${BUILDPLATFORM} ${BUILD_BASE} AS sleeper
WORKDIR /src
COPY requirements/dev.txt requirements/dev.txt
# Of the development tools only zig, with its version and hashes.
RUN sed -n '/^ziglang==/,/[^\\]$/p' requirements/dev.txt >requirements/zig.txt \
 && python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir \
      --require-hashes --target /opt/zig -r requirements/zig.txt
COPY kip/__init__.py kip/__init__.py
COPY sleep sleep
ARG TARGETARCH
# /bin/sh is the sleeper too: it understands the one command of the cache pods' init container.
RUN PYTHONPATH=/opt/zig sleep/compile "${TARGETARCH}" /sleeper/bin/sleep \
 && chmod 0755 /sleeper/bin/sleep \
 && ln -s sleep /sleeper/bin/sh

# --- kip and the packages it needs, in one directory
FROM ${BUILD_BASE} AS packages
COPY requirements/run.txt /tmp/run.txt
# What kip never imports is taken out: the second, asynchronous copy of the Kubernetes client with the packages that
# only it needs, and the typed APIs and models, as kip speaks in plain objects.
RUN python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir --no-compile \
      --require-hashes --target /opt/kip -r /tmp/run.txt \
 && cd /opt/kip \
 && rm -rf bin kubernetes/aio aiohttp aiohttp-* aiohttp_retry* aiosignal* aiohappyeyeballs* attr attrs* \
      frozenlist* multidict* propcache* yarl* \
 && find kubernetes/client/api kubernetes/client/models -name '*.py' ! -name __init__.py -delete \
 && python3 -m compileall -q --invalidation-mode unchecked-hash .
COPY kip /opt/kip/kip
# Byte code is made here because the root is read-only where kip runs, and is not checked against the sources there.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/kip/kip \
 && mkdir /opt/kip/bin \
 && printf '#!/bin/sh\nexec python3 -m kip "$@"\n' >/opt/kip/bin/kip \
 && chmod 0755 /opt/kip/bin/kip \
 && chmod -R a+rX,go-w /opt/kip

# --- the sleeper alone
FROM scratch AS sleep
LABEL org.opencontainers.image.title="kip-sleep" \
      org.opencontainers.image.description="The sleeper that holds images on nodes for kip" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=sleeper /sleeper/ /
USER 65532:65532
ENTRYPOINT ["/bin/sleep"]

# --- the keeper; the last stage is what a build without --target gives
FROM ${BASE} AS keeper
LABEL org.opencontainers.image.title="kip" \
      org.opencontainers.image.description="Keeps container images on every node of a Kubernetes cluster" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/kip /opt/kip
# kip's /bin/sleep takes Go durations: this image is also one that cache pods may copy their sleeper from.
COPY --from=sleeper /sleeper/bin/sleep /bin/sleep
ENV PATH=/opt/kip/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/kip \
    PYTHONSAFEPATH=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Importing all of kip proves that nothing is missing, and leaves the byte code of those parts of the standard
# library that kip uses: some bases, python:slim among them, come without any.
RUN PYTHONDONTWRITEBYTECODE= python3 -c "import importlib, pkgutil, kip; \
import kubernetes.client, kubernetes.config, kubernetes.dynamic, rich.console, rich.table, yaml; \
[importlib.import_module(module.name) for module in pkgutil.walk_packages(kip.__path__, 'kip.')]" \
 && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip*
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/opt/kip/bin/kip"]
CMD ["run"]

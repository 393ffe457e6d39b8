# One image for both processes; docs/deploy/README.md says how to build, run and probe it.
#
#   docker build -t feature-planner .
#   docker run ... feature-planner                            # the web process
#   docker run ... feature-planner feature-planner worker     # a worker
#
# Plain Debian: its Python is the one that the base already has the libraries of. A mirror: --build-arg DEBIAN=...
ARG DEBIAN=debian:bookworm-slim

# --- Builds the page and the wheel, and installs them, with the packages of both halves, into /opt/planner.
FROM ${DEBIAN} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/opt/tools/bin:$PATH
# Node comes from a wheel, as it does for `make install`; /opt/planner gets no pip.
COPY requirements-build.lock ./
RUN python3 -m venv /opt/tools \
 && pip install --quiet --require-hashes -r requirements-build.lock \
 && python3 -m venv --without-pip /opt/planner
COPY requirements-web.lock requirements-worker.lock ./
RUN pip --python /opt/planner/bin/python install --quiet --require-hashes \
        -r requirements-web.lock -r requirements-worker.lock
COPY api/web/package.json api/web/package-lock.json api/web/
RUN npm --prefix api/web --no-update-notifier ci --silent
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY worker worker
COPY api api
RUN npm --prefix api/web --no-update-notifier run --silent build -- --logLevel warn \
 && python3 -m hatchling build --target wheel \
 && pip --python /opt/planner/bin/python install --quiet --no-deps dist/*.whl

# --- What the sandbox needs besides: `docker build --target sandbox`, or the profile of compose.yaml.
FROM build AS build-sandbox
COPY requirements-sandbox.lock ./
RUN pip --python /opt/planner/bin/python install --quiet --require-hashes -r requirements-sandbox.lock

FROM ${DEBIAN} AS base
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin planner
ENV PATH=/opt/planner/bin:$PATH HOME=/nonexistent PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can see that it is not root's.
USER 10001:10001

FROM base AS sandbox
COPY --from=build-sandbox /opt/planner /opt/planner
EXPOSE 8100
CMD ["python", "-m", "worker.sandbox", "--host", "0.0.0.0", "--port", "8100"]

FROM base AS planner
LABEL org.opencontainers.image.title="feature-planner" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/planner /opt/planner
EXPOSE 8000
CMD ["feature-planner", "web"]

# The pipeline as an image: docker build -t illuminate-pipeline .
# How to run it, with which mounts and variables: docs/docker.md.
# With what copies, loads and many districts need: docker build --build-arg EXTRAS="state s3" .

# The only line to change for another base, or for a newer one of this name, whose digest is printed by
#   docker buildx imagetools inspect python:3.11-slim
ARG BASE=docker.io/library/python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7

FROM ${BASE} AS build
# Without pip: what is copied from here can run, but cannot install anything.
RUN python -m venv --without-pip /opt/venv
ENV PIP_PYTHON=/opt/venv/bin/python PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The lock comes before the code, so that a change to the code downloads nothing again; what a change
# to the lock leaves as it was comes from the builder's cache, which is in no layer.
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps --require-hashes -r requirements.txt && pip check
ARG EXTRAS=""
COPY requirements/s3.txt requirements/gs.txt requirements/azure.txt requirements/bigquery.txt requirements/state.txt ./requirements/
RUN --mount=type=cache,target=/root/.cache/pip for extra in $EXTRAS; do \
        pip install --no-deps --require-hashes -r "requirements/$extra.txt" && pip check || exit 1; \
    done
COPY pyproject.toml README.md LICENSE ./
COPY pipeline ./pipeline
RUN pip install --no-deps --no-build-isolation --no-cache-dir . && pip check && pip uninstall --yes flit-core

FROM ${BASE}
ARG BASE
# The commit that it is built from: docker build --build-arg REVISION="$(git rev-parse HEAD)" .
ARG REVISION=""
LABEL org.opencontainers.image.title="illuminate-pipeline" \
    org.opencontainers.image.description="Illuminate assessment results as clean tables, every night" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.base.name="${BASE}"
COPY --from=build /opt/venv /opt/venv
COPY --chmod=0555 docker/entrypoint /usr/local/bin/
COPY --chmod=0444 luigi.cfg docker/scheduler.cfg /app/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LUIGI_CONFIG_PATH=/app/luigi.cfg \
    PIPELINE_DATA_DIR=/app/data
WORKDIR /app
# The only writable folder; a volume takes its owner and mode from here.
RUN install -d -o 10001 -g 10001 -m 0700 /app/data
VOLUME /app/data
# A number, so that a cluster can verify that it is not root.
USER 10001:10001
ENTRYPOINT ["entrypoint"]
CMD ["luigi", "--module", "pipeline", "RunAll"]

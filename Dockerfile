# The pipeline as an image: docker build -t illuminate-pipeline .
# How it is run, with which mounts and variables: README.md, "Docker".

FROM python:3.11-slim AS build
# Made without pip: what is copied from here can run, and cannot install.
RUN python -m venv --without-pip /opt/venv
ENV PIP_PYTHON=/opt/venv/bin/python PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The lock comes before the code, so that a change of the code fetches nothing again.
COPY requirements.txt ./
RUN pip install --no-deps --require-hashes -r requirements.txt && pip check
COPY pyproject.toml README.md ./
COPY pipeline ./pipeline
RUN pip install --no-deps --no-build-isolation . && pip check && pip uninstall --yes flit-core

FROM python:3.11-slim
COPY --from=build /opt/venv /opt/venv
COPY --chmod=0555 docker/entrypoint /usr/local/bin/
COPY --chmod=0444 luigi.cfg docker/scheduler.cfg /app/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LUIGI_CONFIG_PATH=/app/luigi.cfg \
    PIPELINE_DATA_DIR=/app/data
WORKDIR /app
# The only folder that is written in; a volume takes owner and mode from here.
RUN install -d -o 10001 -g 10001 -m 0700 /app/data
VOLUME /app/data
# A number, so that a cluster can see that it is not root.
USER 10001:10001
ENTRYPOINT ["entrypoint"]
CMD ["luigi", "--module", "pipeline", "RunAll"]

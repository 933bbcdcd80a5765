# For processors:       docker build -t hourglass .
# For NVIDIA's GPUs:    docker build -t hourglass:gpu --build-arg EXTRAS=cluster,jobs,jax-gpu,storage .
# TensorFlow on GPUs:   docker build -t hourglass:tf --build-arg EXTRAS=gpu,storage .
# docs/SCALING.md says where it is used.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

ARG EXTRAS=cluster,jobs,storage

# The GPUs' driver is the host's; CUDA's libraries come with the packages.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1 \
    RAY_worker_niceness=0

# KubeRay's probes ask with wget.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 hourglass
WORKDIR /opt/hourglass
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY hourglass ./hourglass
COPY tools ./tools
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[${EXTRAS}]" && rm -rf build ./*.egg-info

USER 1000
WORKDIR /home/hourglass
ENV PYTHONPATH=/opt/hourglass
CMD ["python", "-m", "hourglass.predict", "--help"]

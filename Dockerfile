# One image for the web process and the workers; GPUs are given at run time (see docker-compose.yml).
FROM python:3.12-slim

RUN apt-get update && apt-get install -y --no-install-recommends curl gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 tuneguard
WORKDIR /app
COPY pyproject.toml versions.txt README.md LICENSE ./
COPY constraints constraints
COPY storage storage
COPY trainers trainers
COPY optimizer optimizer
COPY examples examples
RUN pip install --no-cache-dir --constraint versions.txt --editable .

USER tuneguard
ENV TUNEGUARD_HOME=/data
VOLUME /data
ENTRYPOINT ["tuneguard"]
CMD ["--help"]
